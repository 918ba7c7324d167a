#include "ops/core/normalisation.h"

// ReLU or ReLU6 that keeps one bit for each element, not its output: where nothing else reads that
// output in the backward pass (transforms/masks.h). Letters and shapes: ops/core/normalisation.h.

namespace thimble {
namespace {

const std::string kName = "masked_relu";

struct Forward {
  template <class T>
  static void run(const OpCall& call) {
    const Planes planes(call.in_shape(0));
    const Activation activation = activation_of(kName, call.attributes);
    const T* src = call.in<T>(0);
    T* dst = call.out<T>(0);
    parallel_for(planes.n * planes.c, 1, [&](int64_t begin, int64_t end) {
      for (int64_t plane = begin; plane < end; ++plane) {
        for (int64_t i = plane * planes.a; i < (plane + 1) * planes.a; ++i) {
          dst[i] = activate(activation, src[i]);
        }
        planes.write_mask(plane, activation, dst, call.out<uint8_t>(1));
      }
    });
  }
};

struct Backward {
  template <class T>
  static void run(const OpCall& call) {
    const Planes planes(call.in_shape(1));
    const auto* mask = call.in<uint8_t>(0);
    const T* diff_dst = call.in<T>(1);
    T* diff_src = call.out<T>(0);
    parallel_for(planes.n * planes.c * planes.a, kParallelGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        diff_src[i] = planes.bit(mask, i) ? diff_dst[i] : T(0);
      }
    });
  }
};

std::vector<AttributeSpec> attribute_specs() {
  return {{"activation", std::string("relu"), "relu or relu6"}};
}

}  // namespace

void define_masked_relu(OpTable& table) {
  OpDef forward;
  forward.name = kName;
  forward.summary = "relu or relu6, and a bit for each element that the gradient passes";
  forward.attributes = attribute_specs();
  forward.inputs = {{"src"}};
  forward.outputs = {{"dst"}, {"mask"}};
  forward.infer = [](const OpShapes& s) {
    const std::string& activation = s.attributes.text("activation");
    require(activation == "relu" || activation == "relu6", kName,
            ": activation must be 'relu' or 'relu6', got '", activation, "'");
    require(s.inputs[0].rank() >= 2, kName, ": src must be (N, C, ...), got ", s.inputs[0]);
    const Planes planes(s.inputs[0]);
    return std::vector<TensorSpec>{{s.inputs[0]},
                                   {{planes.n, planes.c, planes.mask_row()}, ElementType::u8}};
  };
  forward.gradient = [](GradientBuilder& g) {
    g.set_diff_input(0, g.emit("masked_relu_backward", {g.output(1), g.diff_output()})[0]);
  };
  forward.saves = [](const OpShapes&) { return Saves{{}, {1}}; };
  forward.in_place = {{0, 0}};
  forward.spatial = [](const Attributes&) {
    return Spatial{Spatial::Kind::pointwise, {}, {}, {}, {}};
  };
  forward.kernels = portable_kernels<Forward>();
  table.add(forward);

  OpDef backward;
  backward.name = "masked_relu_backward";
  backward.summary = "gradient of masked_relu";
  backward.inputs = {{"mask"}, {"diff_dst"}};
  backward.outputs = {{"diff_src"}};
  backward.infer = [](const OpShapes& s) { return std::vector<TensorSpec>{{s.inputs[1]}}; };
  backward.in_place = {{1, 0}};
  backward.kernels = portable_kernels<Backward>();
  table.add(backward);
}

}  // namespace thimble
