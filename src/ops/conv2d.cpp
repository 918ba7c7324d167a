#include <algorithm>
#include <cmath>

#include "ops/core/builder.h"
#include "ops/core/gradient.h"
#include "ops/core/signal_power.h"

// N batch; C, O channels in and out; G groups; H, W input; P, Q output; R, S kernel.
// src (N, C, H, W), weights (O, C/G, R, S), bias (O), dst (N, O, P, Q).

namespace thimble {
namespace {

struct Geometry {
  int64_t n, c, h, w, o, p, q, r, s, groups;
  int64_t stride_h, stride_w, top, left, dilation_h, dilation_w;

  Geometry(const Attributes& a, const Shape& src, const Shape& weights, const Shape& dst)
      : n(src[0]),
        c(src[1]),
        h(src[2]),
        w(src[3]),
        o(weights[0]),
        p(dst[2]),
        q(dst[3]),
        r(weights[2]),
        s(weights[3]),
        groups(a.integer("groups")),
        stride_h(a.integers("stride")[0]),
        stride_w(a.integers("stride")[1]),
        top(a.integers("padding")[0]),
        left(a.integers("padding")[1]),
        dilation_h(a.integers("dilation")[0]),
        dilation_w(a.integers("dilation")[1]) {}

  int64_t group_in() const { return c / groups; }
  int64_t group_out() const { return o / groups; }
  int64_t first_in(int64_t out_channel) const { return out_channel / group_out() * group_in(); }

  // The input row under output row `y` and kernel row `kr`, or -1 in the padding.
  int64_t row(int64_t y, int64_t kr) const {
    const int64_t in = y * stride_h - top + kr * dilation_h;
    return in >= 0 && in < h ? in : -1;
  }
  // Output columns [first, last) whose input column under kernel column `ks` is inside the image.
  int64_t first_column(int64_t ks) const {
    const int64_t offset = left - ks * dilation_w;
    return offset <= 0 ? 0 : std::min(q, (offset + stride_w - 1) / stride_w);
  }
  int64_t last_column(int64_t ks) const {
    const int64_t reach = w - 1 + left - ks * dilation_w;
    return reach < 0 ? 0 : std::min(q, reach / stride_w + 1);
  }
  int64_t column(int64_t x, int64_t ks) const { return x * stride_w - left + ks * dilation_w; }
};

struct Forward {
  template <class T>
  static void run(const OpCall& call) {
    const Geometry g(call.attributes, call.in_shape(0), call.in_shape(1), call.out_shape(0));
    const T* src = call.in<T>(0);
    const T* weights = call.in<T>(1);
    const T* bias = call.in<T>(2);
    T* dst = call.out<T>(0);
    parallel_for(g.n * g.o, 1, [&](int64_t begin, int64_t end) {
      for (int64_t no = begin; no < end; ++no) {
        const int64_t o = no % g.o;
        T* out = dst + no * g.p * g.q;
        std::fill(out, out + g.p * g.q, bias != nullptr ? bias[o] : T(0));
        for (int64_t ci = 0; ci < g.group_in(); ++ci) {
          const T* in = src + (no / g.o * g.c + g.first_in(o) + ci) * g.h * g.w;
          const T* kernel = weights + (o * g.group_in() + ci) * g.r * g.s;
          accumulate(g, in, kernel, out);
        }
      }
    });
  }

  template <class T>
  static void accumulate(const Geometry& g, const T* in, const T* kernel, T* out) {
    for (int64_t y = 0; y < g.p; ++y) {
      for (int64_t kr = 0; kr < g.r; ++kr) {
        const int64_t row = g.row(y, kr);
        if (row < 0) continue;
        for (int64_t ks = 0; ks < g.s; ++ks) {
          const T weight = kernel[kr * g.s + ks];
          const T* line = in + row * g.w + g.column(0, ks);
          for (int64_t x = g.first_column(ks), last = g.last_column(ks); x < last; ++x) {
            out[y * g.q + x] += weight * line[x * g.stride_w];
          }
        }
      }
    }
  }
};

struct BackwardData {
  template <class T>
  static void run(const OpCall& call) {
    const Geometry g(call.attributes, call.out_shape(0), call.in_shape(0), call.in_shape(1));
    const T* weights = call.in<T>(0);
    const T* diff_dst = call.in<T>(1);
    T* diff_src = call.out<T>(0);
    parallel_for(g.n * g.c, 1, [&](int64_t begin, int64_t end) {
      for (int64_t nc = begin; nc < end; ++nc) {
        const int64_t c = nc % g.c;
        const int64_t group = c / g.group_in();
        T* out = diff_src + nc * g.h * g.w;
        std::fill(out, out + g.h * g.w, T(0));
        for (int64_t o = group * g.group_out(); o < (group + 1) * g.group_out(); ++o) {
          const T* in = diff_dst + (nc / g.c * g.o + o) * g.p * g.q;
          const T* kernel = weights + (o * g.group_in() + c % g.group_in()) * g.r * g.s;
          scatter(g, in, kernel, out);
        }
      }
    });
  }

  template <class T>
  static void scatter(const Geometry& g, const T* diff_dst, const T* kernel, T* diff_src) {
    for (int64_t y = 0; y < g.p; ++y) {
      for (int64_t kr = 0; kr < g.r; ++kr) {
        const int64_t row = g.row(y, kr);
        if (row < 0) continue;
        for (int64_t ks = 0; ks < g.s; ++ks) {
          const T weight = kernel[kr * g.s + ks];
          T* line = diff_src + row * g.w + g.column(0, ks);
          for (int64_t x = g.first_column(ks), last = g.last_column(ks); x < last; ++x) {
            line[x * g.stride_w] += weight * diff_dst[y * g.q + x];
          }
        }
      }
    }
  }
};

struct BackwardWeights {
  template <class T>
  static void run(const OpCall& call) {
    const Shape weights_shape = call.out_shape(0);
    const Geometry g(call.attributes, call.in_shape(0), weights_shape, call.in_shape(1));
    const T* src = call.in<T>(0);
    const T* diff_dst = call.in<T>(1);
    T* diff_weights = call.out<T>(0);
    T* diff_bias = call.out<T>(1);
    parallel_for(g.o, 1, [&](int64_t begin, int64_t end) {
      for (int64_t o = begin; o < end; ++o) {
        for (int64_t ci = 0; ci < g.group_in(); ++ci) {
          for (int64_t k = 0; k < g.r * g.s; ++k) {
            diff_weights[(o * g.group_in() + ci) * g.r * g.s + k] =
                correlate(g, src + (g.first_in(o) + ci) * g.h * g.w, diff_dst + o * g.p * g.q,
                          k / g.s, k % g.s);
          }
        }
        if (diff_bias != nullptr) diff_bias[o] = total(g, diff_dst + o * g.p * g.q);
      }
    });
  }

  // The sum over images and positions of src * diff_dst under one kernel element.
  template <class T>
  static T correlate(const Geometry& g, const T* src, const T* diff_dst, int64_t kr, int64_t ks) {
    T sum(0);
    for (int64_t n = 0; n < g.n; ++n, src += g.c * g.h * g.w, diff_dst += g.o * g.p * g.q) {
      for (int64_t y = 0; y < g.p; ++y) {
        const int64_t row = g.row(y, kr);
        if (row < 0) continue;
        const T* line = src + row * g.w + g.column(0, ks);
        T row_sum(0);
        for (int64_t x = g.first_column(ks), last = g.last_column(ks); x < last; ++x) {
          row_sum += line[x * g.stride_w] * diff_dst[y * g.q + x];
        }
        sum += row_sum;
      }
    }
    return sum;
  }

  template <class T>
  static T total(const Geometry& g, const T* diff_dst) {
    T sum(0);
    for (int64_t n = 0; n < g.n; ++n, diff_dst += g.o * g.p * g.q) {
      for (int64_t i = 0; i < g.p * g.q; ++i) sum += diff_dst[i];
    }
    return sum;
  }
};

int64_t output_size(int64_t in, int64_t kernel, int64_t stride, int64_t dilation, int64_t padding) {
  return (in + padding - dilation * (kernel - 1) - 1) / stride + 1;
}

Shape weights_shape(const OpShapes& s) {
  const auto& kernel = s.attributes.integers("kernel");
  const int64_t groups = s.attributes.integer("groups");
  const int64_t out = s.attributes.integer("out_channels");
  require(s.inputs[0].rank() == 4, "conv2d: src must be (N, C, H, W), got ", s.inputs[0]);
  require(kernel.size() == 2 && kernel[0] > 0 && kernel[1] > 0,
          "conv2d: kernel must be two positive sizes");
  require(groups > 0 && out > 0 && s.inputs[0][1] % groups == 0 && out % groups == 0,
          "conv2d: ", groups, " groups must divide ", s.inputs[0][1], " input and ", out,
          " output channels");
  return {out, s.inputs[0][1] / groups, kernel[0], kernel[1]};
}

std::vector<TensorSpec> infer_forward(const OpShapes& s) {
  const Attributes& a = s.attributes;
  const Shape weights = weights_shape(s);
  require(s.inputs[1] == weights, "conv2d: src ", s.inputs[0], " needs weights ", weights, ", got ",
          s.inputs[1]);
  const bool bias = a.integer("bias") != 0;
  require(s.has(2) == bias && (!bias || s.inputs[2] == Shape{weights[0]}), "conv2d: bias=", bias,
          " needs ", bias ? "a bias of one value per output channel" : "no bias input", ", got ",
          s.has(2) ? str_cat("shape ", s.inputs[2]) : "none");
  const auto& stride = a.integers("stride");
  const auto& pad = a.integers("padding");
  const auto& dilation = a.integers("dilation");
  require(stride.size() == 2 && dilation.size() == 2 && pad.size() == 4,
          "conv2d: stride and dilation take two values, padding four (top, left, bottom, right)");
  require(std::min({stride[0], stride[1], dilation[0], dilation[1]}) > 0 &&
              *std::min_element(pad.begin(), pad.end()) >= 0,
          "conv2d: stride and dilation must be positive, padding not negative");
  const int64_t p =
      output_size(s.inputs[0][2], weights[2], stride[0], dilation[0], pad[0] + pad[2]);
  const int64_t q =
      output_size(s.inputs[0][3], weights[3], stride[1], dilation[1], pad[1] + pad[3]);
  const auto reach = [&](int i) {
    return dilation[static_cast<size_t>(i)] * (weights[2 + i] - 1) + 1;
  };
  require(
      s.inputs[0][2] + pad[0] + pad[2] >= reach(0) && s.inputs[0][3] + pad[1] + pad[3] >= reach(1),
      "conv2d: the kernel ", weights, " is larger than the padded image ", s.inputs[0]);
  return {{{s.inputs[0][0], weights[0], p, q}}};
}

std::vector<Parameter> parameters(const OpShapes& s) {
  const Shape weights = weights_shape(s);
  // He initialisation for ReLU, fan out (arXiv 1502.01852), as torchvision's classifiers.
  const double fan_out =
      static_cast<double>(weights[0] / s.attributes.integer("groups") * weights[2] * weights[3]);
  std::vector<Parameter> all = {
      {1, "weight", weights, {Init::Kind::normal, std::sqrt(2 / fan_out)}, Role::weight}};
  if (s.attributes.integer("bias") != 0) all.push_back({2, "bias", {weights[0]}, {}, Role::weight});
  return all;
}

// Of a depthwise convolution of which some channels are trained, as of one that has no others. The
// bias has all of its gradient apart.
void some_channels_gradient(GradientBuilder& g, const ChannelRange& part) {
  const ChannelRange channels = {1, part.first, part.count};
  const TensorId src = g.saved_channels(0, channels);
  const TensorId diff_dst = g.emit("slice", {g.diff_output()}, attributes_of(channels))[0];
  Attributes a = g.attributes();
  a.set("groups", part.count);
  a.set("out_channels", part.count);
  a.set("bias", int64_t{0});
  g.set_diff_input(1, g.emit("conv2d_backward_weights", {src, diff_dst}, a)[0]);
}

void weights_gradient(GradientBuilder& g) {
  const ChannelRange& part = g.trained_part(1);
  const bool of_inputs =
      !part.is_whole() && part.axis == 1 && g.attributes().integer("groups") == 1;
  const TensorId src = of_inputs ? g.saved_channels(0, part) : g.input(0);
  const auto diffs =
      g.emit("conv2d_backward_weights", {src, g.diff_output()}, g.attributes(), {true, g.wants(2)});
  g.set_diff_input(1, diffs[0]);
  if (g.wants(2)) g.set_diff_input(2, diffs[1]);
}

void gradient(GradientBuilder& g) {
  const bool depthwise = g.has_input(1) && g.input_shape(1)[1] == 1 &&
                         g.attributes().integer("groups") == g.input_shape(1)[0];
  const bool some = g.wants(1) && depthwise && !g.trained_part(1).is_whole();
  if ((!g.wants(1) || some) && g.wants(2)) {
    // Of the bias alone: src need not be kept.
    g.set_diff_input(2, g.emit("channel_sum", {g.diff_output()})[0]);
  }
  if (some) {
    some_channels_gradient(g, g.trained_part(1));
  } else if (g.wants(1)) {
    weights_gradient(g);
  }
  if (g.wants(0)) {
    Attributes a = g.attributes();
    const Shape& src = g.input_shape(0);
    a.set("image", std::vector<int64_t>{src[2], src[3]});
    g.set_diff_input(0, g.emit("conv2d_backward_data", {g.input(1), g.diff_output()}, a)[0]);
  }
}

// Multiply-adds are two operations each; every output element sees R*S*C/G weights.
int64_t flops(const Shape& dst, const Shape& weights) {
  return 2 * dst.elements() * weights[1] * weights[2] * weights[3];
}

std::vector<AttributeSpec> attribute_specs() {
  return {{"out_channels", int64_t{0}, "output channels"},
          {"kernel", both(1), "height and width"},
          {"stride", both(1), "height and width"},
          {"padding", ints({0, 0, 0, 0}), "top, left, bottom, right"},
          {"dilation", both(1), "height and width"},
          {"groups", int64_t{1}, "channels are split into this many; all of them: depthwise"},
          {"bias", int64_t{0}, "1: add a value per output channel"}};
}

OpDef backward_data() {
  OpDef def;
  def.name = "conv2d_backward_data";
  def.sum_form = "conv2d_backward_data_sum";
  def.summary = "gradient of conv2d with respect to src";
  def.attributes = attribute_specs();
  def.attributes.push_back({"image", both(0), "height and width of src"});
  def.inputs = {{"weights"}, {"diff_dst"}};
  def.outputs = {{"diff_src"}};
  def.infer = [](const OpShapes& s) {
    const auto& image = s.attributes.integers("image");
    const int64_t c = s.inputs[0][1] * s.attributes.integer("groups");
    return std::vector<TensorSpec>{{{s.inputs[1][0], c, image[0], image[1]}}};
  };
  def.flops = [](const OpShapes& s) { return flops(s.inputs[1], s.inputs[0]); };
  def.kernels = portable_kernels<BackwardData>();
  return def;
}

OpDef backward_weights() {
  OpDef def;
  def.name = "conv2d_backward_weights";
  def.summary = "gradient of conv2d with respect to weights and bias";
  def.attributes = attribute_specs();
  def.inputs = {{"src"}, {"diff_dst"}};
  def.outputs = {{"diff_weights"}, {"diff_bias"}};
  def.infer = [](const OpShapes& s) {
    const Shape weights = weights_shape(s);
    const bool bias = s.attributes.integer("bias") != 0;
    return std::vector<TensorSpec>{{weights}, {bias ? Shape{weights[0]} : Shape{}}};
  };
  def.flops = [](const OpShapes& s) { return flops(s.inputs[1], weights_shape(s)); };
  def.kernels = portable_kernels<BackwardWeights>();
  return def;
}

}  // namespace

void define_conv2d(OpTable& table) {
  OpDef def;
  def.name = "conv2d";
  def.sum_form = "conv2d_sum";
  def.summary = "two-dimensional convolution; groups, stride, dilation, asymmetric padding";
  def.attributes = attribute_specs();
  def.inputs = {{"src"}, {"weights"}, {"bias", true}};
  def.outputs = {{"dst"}};
  def.infer = infer_forward;
  def.parameters = parameters;
  def.gradient = gradient;
  def.saves = [](const OpShapes&) { return Saves{{0, 1}, {}}; };
  def.spatial = [](const Attributes& a) {
    return Spatial{Spatial::Kind::window, a.integers("kernel"), a.integers("stride"),
                   a.integers("padding"), a.integers("dilation")};
  };
  def.flops = [](const OpShapes& s) { return flops(infer_forward(s)[0].shape, s.inputs[1]); };
  def.power = power_behind_weights;
  def.kernels = portable_kernels<Forward>();
  table.add(def);
  table.add(backward_data());
  table.add(backward_weights());
}

}  // namespace thimble
