#include <algorithm>
#include <cmath>

#include "ops/core/gradient.h"
#include "ops/core/signal_power.h"
#include "ops/core/sums.h"

// N batch; I, O features in and out.
// src (N, I), weights (O, I), bias (O), dst (N, O).

namespace thimble {
namespace {

template <class T>
void add_scaled(T* sum, T scale, const T* values, int64_t count) {
  for (int64_t i = 0; i < count; ++i) sum[i] += scale * values[i];
}

struct Forward {
  template <class T>
  static void run(const OpCall& call) {
    const T* src = call.in<T>(0);
    const T* weights = call.in<T>(1);
    const T* bias = call.in<T>(2);
    T* dst = call.out<T>(0);
    const int64_t in = call.in_shape(0)[1];
    const int64_t out = call.out_shape(0)[1];
    parallel_for(call.out_shape(0).elements(), grain_of(in), [&](int64_t begin, int64_t end) {
      for (int64_t no = begin; no < end; ++no) {
        const int64_t o = no % out;
        const T product = dot(src + no / out * in, weights + o * in, in);
        dst[no] = bias != nullptr ? product + bias[o] : product;
      }
    });
  }
};

struct BackwardData {
  template <class T>
  static void run(const OpCall& call) {
    const T* weights = call.in<T>(0);
    const T* diff_dst = call.in<T>(1);
    T* diff_src = call.out<T>(0);
    const int64_t in = call.in_shape(0)[1];
    const int64_t out = call.in_shape(0)[0];
    parallel_for(call.in_shape(1)[0], grain_of(in * out), [&](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; ++n) {
        T* row = diff_src + n * in;
        std::fill(row, row + in, T(0));
        for (int64_t o = 0; o < out; ++o) {
          add_scaled(row, diff_dst[n * out + o], weights + o * in, in);
        }
      }
    });
  }
};

struct BackwardWeights {
  template <class T>
  static void run(const OpCall& call) {
    const T* src = call.in<T>(0);
    const T* diff_dst = call.in<T>(1);
    T* diff_weights = call.out<T>(0);
    T* diff_bias = call.out<T>(1);
    const int64_t batch = call.in_shape(0)[0];
    const int64_t in = call.in_shape(0)[1];
    const int64_t out = call.in_shape(1)[1];
    parallel_for(out, grain_of(batch * in), [&](int64_t begin, int64_t end) {
      for (int64_t o = begin; o < end; ++o) {
        T* row = diff_weights + o * in;
        std::fill(row, row + in, T(0));
        T total(0);
        for (int64_t n = 0; n < batch; ++n) {
          const T diff = diff_dst[n * out + o];
          add_scaled(row, diff, src + n * in, in);
          total += diff;
        }
        if (diff_bias != nullptr) diff_bias[o] = total;
      }
    });
  }
};

Shape weights_shape(const OpShapes& s) {
  const int64_t out = s.attributes.integer("out_features");
  require(s.inputs[0].rank() == 2, "linear: src must be (N, I), got ", s.inputs[0],
          "; put a flatten in front");
  require(out > 0, "linear: out_features must be positive, got ", out);
  return {out, s.inputs[0][1]};
}

std::vector<TensorSpec> infer_forward(const OpShapes& s) {
  const Shape weights = weights_shape(s);
  const bool bias = s.attributes.integer("bias") != 0;
  require(s.inputs[1] == weights, "linear: src ", s.inputs[0], " needs weights ", weights, ", got ",
          s.inputs[1]);
  require(s.has(2) == bias, "linear: bias=", bias, " but a bias was ", bias ? "not " : "", "given");
  require(!bias || s.shape(2) == Shape{weights[0]}, "linear: ", weights[0],
          " output features need a bias of shape (", weights[0], "), got ", s.shape(2));
  return {{{s.inputs[0][0], weights[0]}}};
}

std::vector<Parameter> parameters(const OpShapes& s) {
  const Shape weights = weights_shape(s);
  // As PyTorch's Linear: He's bound (arXiv 1502.01852) with a = sqrt(5).
  const Init init = {Init::Kind::uniform, 1 / std::sqrt(static_cast<double>(weights[1]))};
  std::vector<Parameter> all = {{1, "weight", weights, init, Role::weight}};
  if (s.attributes.integer("bias") != 0)
    all.push_back({2, "bias", {weights[0]}, init, Role::weight});
  return all;
}

void gradient(GradientBuilder& g) {
  if (!g.wants(1) && g.wants(2)) {
    // Of the bias alone: src need not be kept.
    g.set_diff_input(2, g.emit("channel_sum", {g.diff_output()})[0]);
  }
  if (g.wants(1)) {
    const ChannelRange& part = g.trained_part(1);
    const bool of_inputs = !part.is_whole() && part.axis == 1;
    const TensorId src = of_inputs ? g.saved_channels(0, part) : g.input(0);
    const auto diffs = g.emit("linear_backward_weights", {src, g.diff_output()}, g.attributes(),
                              {true, g.wants(2)});
    g.set_diff_input(1, diffs[0]);
    if (g.wants(2)) g.set_diff_input(2, diffs[1]);
  }
  if (g.wants(0)) {
    g.set_diff_input(
        0, g.emit("linear_backward_data", {g.input(1), g.diff_output()}, g.attributes())[0]);
  }
}

// Multiply-adds are two operations each.
int64_t flops(const Shape& batch_rows, const Shape& weights) {
  return 2 * batch_rows[0] * weights.elements();
}

std::vector<AttributeSpec> attribute_specs() {
  return {{"out_features", int64_t{0}, "output features"},
          {"bias", int64_t{1}, "1: add a value per output feature"}};
}

OpDef backward_data() {
  OpDef def;
  def.name = "linear_backward_data";
  def.summary = "gradient of linear with respect to src";
  def.attributes = attribute_specs();
  def.inputs = {{"weights"}, {"diff_dst"}};
  def.outputs = {{"diff_src"}};
  def.infer = [](const OpShapes& s) {
    require(s.inputs[0].rank() == 2 && s.inputs[1].rank() == 2 && s.inputs[1][1] == s.inputs[0][0],
            "linear_backward_data: weights ", s.inputs[0], " need diff_dst (N, O), got ",
            s.inputs[1]);
    return std::vector<TensorSpec>{{{s.inputs[1][0], s.inputs[0][1]}}};
  };
  def.flops = [](const OpShapes& s) { return flops(s.inputs[1], s.inputs[0]); };
  def.kernels = portable_kernels<BackwardData>();
  return def;
}

OpDef backward_weights() {
  OpDef def;
  def.name = "linear_backward_weights";
  def.summary = "gradient of linear with respect to weights and bias";
  def.attributes = attribute_specs();
  def.inputs = {{"src"}, {"diff_dst"}};
  def.outputs = {{"diff_weights"}, {"diff_bias"}};
  def.infer = [](const OpShapes& s) {
    const Shape weights = weights_shape(s);
    const Shape diff_dst = {s.inputs[0][0], weights[0]};
    require(s.inputs[1] == diff_dst, "linear_backward_weights: src ", s.inputs[0],
            " needs diff_dst ", diff_dst, ", got ", s.inputs[1]);
    const bool bias = s.attributes.integer("bias") != 0;
    return std::vector<TensorSpec>{{weights}, {bias ? Shape{weights[0]} : Shape{}}};
  };
  def.flops = [](const OpShapes& s) { return flops(s.inputs[0], weights_shape(s)); };
  def.kernels = portable_kernels<BackwardWeights>();
  return def;
}

}  // namespace

void define_linear(OpTable& table) {
  OpDef def;
  def.name = "linear";
  def.summary = "fully connected layer: src times weights transposed, plus bias";
  def.attributes = attribute_specs();
  def.inputs = {{"src"}, {"weights"}, {"bias", true}};
  def.outputs = {{"dst"}};
  def.infer = infer_forward;
  def.parameters = parameters;
  def.gradient = gradient;
  def.saves = [](const OpShapes&) { return Saves{{0, 1}, {}}; };
  def.flops = [](const OpShapes& s) { return flops(s.inputs[0], s.inputs[1]); };
  def.power = power_behind_weights;
  def.kernels = portable_kernels<Forward>();
  table.add(def);
  table.add(backward_data());
  table.add(backward_weights());
}

}  // namespace thimble
