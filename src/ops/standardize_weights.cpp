#include <cmath>

#include "ops/core/gradient.h"
#include "ops/core/sums.h"

// Weight standardisation (arXiv 1903.10520) as TinyTL and Rep-Net have it: of each output channel's
// K = I*R*S weights, (w - mean) / (std + epsilon), with the unbiased std and epsilon beside it.
// weights, dst (O, I, R, S).

namespace thimble {
namespace {

template <class T>
struct Row {
  T mean, std;

  Row(const T* weights, int64_t k) {
    using Sum = Accumulator<T>;
    Sum total(0), squares(0);
    for (int64_t i = 0; i < k; ++i) total += Sum(weights[i]);
    const Sum center = total / Sum(static_cast<double>(k));
    for (int64_t i = 0; i < k; ++i) {
      const Sum distance = Sum(weights[i]) - center;
      squares += distance * distance;
    }
    mean = T(center);
    std = T(std::sqrt(squares / Sum(static_cast<double>(k - 1))));
  }
};

struct Forward {
  template <class T>
  static void run(const OpCall& call) {
    const Shape& shape = call.in_shape(0);
    const int64_t k = shape.elements() / shape[0];
    const T epsilon = T(call.attributes.real("epsilon"));
    const T* weights = call.in<T>(0);
    T* dst = call.out<T>(0);
    parallel_for(shape[0], grain_of(3 * k), [&](int64_t begin, int64_t end) {
      for (int64_t o = begin; o < end; ++o) {
        const Row<T> row(weights + o * k, k);
        const T scale = T(1) / (row.std + epsilon);
        for (int64_t i = o * k; i < (o + 1) * k; ++i) dst[i] = (weights[i] - row.mean) * scale;
      }
    });
  }
};

struct Backward {
  template <class T>
  static void run(const OpCall& call) {
    using Sum = Accumulator<T>;
    const Shape& shape = call.in_shape(0);
    const int64_t k = shape.elements() / shape[0];
    const T epsilon = T(call.attributes.real("epsilon"));
    const T* weights = call.in<T>(0);
    const T* diff_dst = call.in<T>(1);
    T* diff = call.out<T>(0);
    parallel_for(shape[0], grain_of(6 * k), [&](int64_t begin, int64_t end) {
      for (int64_t o = begin; o < end; ++o) {
        const Row<T> row(weights + o * k, k);
        const T scale = T(1) / (row.std + epsilon);
        Sum sum_g(0), sum_gw(0);  // of g and of g * (w - mean)
        for (int64_t i = o * k; i < (o + 1) * k; ++i) {
          sum_g += Sum(diff_dst[i]);
          sum_gw += Sum(diff_dst[i]) * Sum(weights[i] - row.mean);
        }
        const T mean_g = T(sum_g / Sum(static_cast<double>(k)));
        // All weights alike: there is no direction in which std grows.
        const bool flat = branch_value(row.std) <= 0;
        const T slope =
            flat ? T(0) : T(sum_gw / Sum(static_cast<double>(k - 1))) * scale * scale / row.std;
        for (int64_t i = o * k; i < (o + 1) * k; ++i) {
          diff[i] = (diff_dst[i] - mean_g) * scale - (weights[i] - row.mean) * slope;
        }
      }
    });
  }
};

std::vector<AttributeSpec> attribute_specs() {
  return {{"epsilon", 1e-5, "added to the standard deviation"}};
}

}  // namespace

void define_standardize_weights(OpTable& table) {
  OpDef forward;
  forward.name = "standardize_weights";
  forward.summary = "weights of each output channel, brought to mean 0 and deviation 1";
  forward.attributes = attribute_specs();
  forward.inputs = {{"weights"}};
  forward.outputs = {{"dst"}};
  forward.infer = [](const OpShapes& s) {
    const Shape& weights = s.inputs[0];
    require(weights.rank() == 4 && weights.elements() / weights[0] > 1,
            "standardize_weights: weights must be (O, I, R, S) with two or more for each output "
            "channel, got ",
            weights);
    return std::vector<TensorSpec>{{weights}};
  };
  forward.gradient = [](GradientBuilder& g) {
    g.set_diff_input(0, g.emit("standardize_weights_backward", {g.input(0), g.diff_output()},
                               g.attributes())[0]);
  };
  forward.saves = [](const OpShapes&) { return Saves{{0}, {}}; };
  forward.flops = [](const OpShapes& s) { return 6 * s.inputs[0].elements(); };
  forward.kernels = portable_kernels<Forward>();
  table.add(forward);

  OpDef backward;
  backward.name = "standardize_weights_backward";
  backward.summary = "gradient of standardize_weights";
  backward.attributes = attribute_specs();
  backward.inputs = {{"weights"}, {"diff_dst"}};
  backward.outputs = {{"diff_weights"}};
  backward.infer = [](const OpShapes& s) { return std::vector<TensorSpec>{{s.inputs[0]}}; };
  backward.in_place = {{1, 0}};
  backward.flops = [](const OpShapes& s) { return 12 * s.inputs[0].elements(); };
  backward.kernels = portable_kernels<Backward>();
  table.add(backward);
}

}  // namespace thimble
