#include <algorithm>
#include <cmath>

#include "ops/core/gradient.h"

// Batch normalisation (arXiv 1502.03167) with the residual addend and the activation that follow
// it in networks: dst = activation(src * scale + shift + addend).
// N batch; C channels; A the H*W positions of a plane (1 for rank 2).
// src, addend, dst (N, C, H, W) or (N, C); gamma, beta, mean, inv_std (C); mask (N, C, ceil(A/8)):
// one bit for each element, set where the activation lets the gradient pass.

namespace thimble {
namespace {

enum class Activation : uint8_t { none, relu, relu6 };

Activation activation_of(const Attributes& a) {
  const std::string& name = a.text("activation");
  if (name == "relu") return Activation::relu;
  if (name == "relu6") return Activation::relu6;
  require(name == "none", "batch_norm: activation must be 'none', 'relu' or 'relu6', got '", name,
          "'");
  return Activation::none;
}

bool is_training(const Attributes& a) { return a.integer("training") != 0; }

template <class T>
T activate(Activation activation, T x) {
  if (activation == Activation::none) return x;
  if (branch_value(x) <= 0) return T(0);
  return activation == Activation::relu6 && branch_value(x) >= 6 ? T(6) : x;
}

// Whether a gradient passes: the same answer from the activation's input and from its output.
template <class T>
bool passes(Activation activation, T x) {
  if (activation == Activation::none) return true;
  return branch_value(x) > 0 && (activation == Activation::relu || branch_value(x) < 6);
}

// Normalisation and affine map of one channel. Backward asks the very same expression which
// elements the activation cut off, so it must round the same way: see -ffp-contract.
template <class T>
struct Affine {
  T scale, shift;

  Affine(T gamma, T beta, T mean, T inv_std)
      : scale(gamma * inv_std), shift(beta - mean * (gamma * inv_std)) {}
  T operator()(T x) const { return x * scale + shift; }
};

template <class T>
T inverse_deviation(T variance, const Attributes& a) {
  return T(1) / std::sqrt(variance + T(a.real("epsilon")));
}

struct Planes {
  int64_t n, c, a;
  explicit Planes(const Shape& s) : n(s[0]), c(s[1]), a(s.elements() / (s[0] * s[1])) {}

  int64_t count() const { return n * a; }
  int64_t mask_row() const { return (a + 7) / 8; }
  bool bit(const uint8_t* mask, int64_t i) const {
    const int64_t pixel = i % a;
    return (mask[i / a * mask_row() + pixel / 8] >> (pixel % 8) & 1) != 0;
  }
  // Calls `body(i)` for each element of a channel.
  template <class Body>
  void each(int64_t channel, const Body& body) const {
    for (int64_t image = 0; image < n; ++image) {
      const int64_t begin = (image * c + channel) * a;
      for (int64_t i = begin; i < begin + a; ++i) body(i);
    }
  }
};

struct Forward {
  template <class T>
  static void run(const OpCall& call) {
    const Planes planes(call.in_shape(0));
    const Activation activation = activation_of(call.attributes);
    const bool training = is_training(call.attributes);
    const T* src = call.in<T>(0);
    const T* addend = call.in<T>(1);
    T* dst = call.out<T>(0);
    parallel_for(planes.c, 1, [&](int64_t begin, int64_t end) {
      for (int64_t c = begin; c < end; ++c) {
        T mean, inv_std;
        if (training) {
          batch_statistics(call, planes, c, &mean, &inv_std);
        } else {
          mean = call.in<T>(4)[c];
          inv_std = inverse_deviation(call.in<T>(5)[c], call.attributes);
        }
        const Affine<T> affine(call.in<T>(2)[c], call.in<T>(3)[c], mean, inv_std);
        planes.each(c, [&](int64_t i) {
          dst[i] =
              activate(activation, addend != nullptr ? affine(src[i]) + addend[i] : affine(src[i]));
        });
        if (call.has_output(3)) write_mask(planes, c, activation, dst, call.out<uint8_t>(3));
      }
    });
  }

  template <class T>
  static void write_mask(const Planes& planes, int64_t channel, Activation activation, const T* dst,
                         uint8_t* mask) {
    for (int64_t image = 0; image < planes.n; ++image) {
      const int64_t plane = image * planes.c + channel;
      for (int64_t begin = 0; begin < planes.a; begin += 8) {
        unsigned bits = 0;
        for (int64_t k = 0; k < std::min<int64_t>(8, planes.a - begin); ++k) {
          bits |= unsigned{passes(activation, dst[plane * planes.a + begin + k])} << k;
        }
        mask[plane * planes.mask_row() + begin / 8] = static_cast<uint8_t>(bits);
      }
    }
  }

  // The batch's mean and deviation, and the running ones moved towards them: biased variance to
  // normalise with, unbiased to keep, as PyTorch.
  template <class T>
  static void batch_statistics(const OpCall& call, const Planes& planes, int64_t c, T* mean,
                               T* inv_std) {
    using Sum = Accumulator<T>;
    const T* src = call.in<T>(0);
    const Sum count(static_cast<double>(planes.count()));
    Sum sum(0), squares(0);
    planes.each(c, [&](int64_t i) { sum += Sum(src[i]); });
    const Sum center = sum / count;
    planes.each(c, [&](int64_t i) {
      const Sum distance = Sum(src[i]) - center;
      squares += distance * distance;
    });
    *mean = T(center);
    *inv_std = T(inverse_deviation(squares / count, call.attributes));
    if (call.has_output(1)) call.out<T>(1)[c] = *mean;
    if (call.has_output(2)) call.out<T>(2)[c] = *inv_std;
    const Sum momentum(call.attributes.real("momentum"));
    const auto move = [&](T& running, Sum value) {
      running = T(Sum(running) * (Sum(1) - momentum) + value * momentum);
    };
    if (call.has_output(4)) move(call.out<T>(4)[c], center);
    if (call.has_output(5)) move(call.out<T>(5)[c], squares / (count - Sum(1)));
  }
};

// The forward result once more, from the statistics that the first pass kept.
struct Replay {
  template <class T>
  static void run(const OpCall& call) {
    const Planes planes(call.in_shape(0));
    const Activation activation = activation_of(call.attributes);
    const T* src = call.in<T>(0);
    const T* addend = call.in<T>(1);
    T* dst = call.out<T>(0);
    parallel_for(planes.c, 1, [&](int64_t begin, int64_t end) {
      for (int64_t c = begin; c < end; ++c) {
        const Affine<T> affine(call.in<T>(2)[c], call.in<T>(3)[c], call.in<T>(4)[c],
                               call.in<T>(5)[c]);
        planes.each(c, [&](int64_t i) {
          dst[i] =
              activate(activation, addend != nullptr ? affine(src[i]) + addend[i] : affine(src[i]));
        });
      }
    });
  }
};

// Two passes over a channel. The first makes g, the gradient below the activation, and its sums;
// the second is elementwise. So diff_src may lie over src or a diff_dst, and diff_addend over a
// diff_dst: g is then read back from diff_addend, never made twice.
struct Backward {
  template <class T>
  static void run(const OpCall& call) {
    const Planes planes(call.in_shape(0));
    parallel_for(planes.c, 1, [&](int64_t begin, int64_t end) {
      for (int64_t c = begin; c < end; ++c) channel<T>(call, planes, c);
    });
  }

  template <class T>
  static void channel(const OpCall& call, const Planes& planes, int64_t c) {
    using Sum = Accumulator<T>;
    const bool training = is_training(call.attributes);
    const Activation activation = activation_of(call.attributes);
    const T* src = call.in<T>(0);
    const T* diff_dst = call.in<T>(1);
    const T* diff_dst_2 = call.in<T>(2);
    const T* dst = call.in<T>(7);
    const uint8_t* mask = call.in<uint8_t>(8);
    const T mean = call.in<T>(5)[c];
    const T inv_std =
        training ? call.in<T>(6)[c] : inverse_deviation(call.in<T>(6)[c], call.attributes);
    const Affine<T> affine(call.in<T>(3)[c], call.in<T>(4)[c], mean, inv_std);
    T* diff_src = call.out<T>(0);
    T* diff_addend = call.out<T>(1);

    const auto masked = [&](int64_t i) {
      const T sum = diff_dst_2 != nullptr ? diff_dst[i] + diff_dst_2[i] : diff_dst[i];
      if (mask != nullptr) return planes.bit(mask, i) ? sum : T(0);
      return passes(activation, dst != nullptr ? dst[i] : affine(src[i])) ? sum : T(0);
    };
    Sum sum_g(0), sum_gx(0);  // of g and of g * (src - mean)
    planes.each(c, [&](int64_t i) {
      const T g = masked(i);
      if (diff_addend != nullptr) diff_addend[i] = g;
      sum_g += Sum(g);
      sum_gx += Sum(g) * (Sum(src[i]) - Sum(mean));
    });
    if (call.has_output(2)) call.out<T>(2)[c] = T(sum_gx * Sum(inv_std));
    if (call.has_output(3)) call.out<T>(3)[c] = T(sum_g);
    if (diff_src == nullptr) return;

    const Sum count(static_cast<double>(planes.count()));
    const T mean_g = training ? T(sum_g / count) : T(0);
    const T slope = training ? T(sum_gx * Sum(inv_std) * Sum(inv_std) / count) : T(0);
    planes.each(c, [&](int64_t i) {
      const T g = diff_addend != nullptr ? diff_addend[i] : masked(i);
      diff_src[i] = affine.scale * (g - mean_g - (src[i] - mean) * slope);
    });
  }
};

std::vector<AttributeSpec> attribute_specs() {
  return {{"training", int64_t{1}, "1: statistics of the batch; 0: the running ones, frozen"},
          {"epsilon", 1e-5, "added to the variance"},
          {"momentum", 0.1, "the weight of the batch in the running statistics"},
          {"activation", std::string("none"), "none, relu or relu6, after the addend"},
          {"mask", int64_t{0}, "1: keep what the activation let through as bits, not as dst"}};
}

bool has_mask(const Attributes& a) { return a.integer("mask") != 0; }

// Backward must be told what the activation cut off where src cannot tell.
bool saves_activation(const OpShapes& s) {
  return s.has(1) && activation_of(s.attributes) != Activation::none;
}

std::vector<TensorSpec> infer_forward(const OpShapes& s) {
  const Shape& src = s.inputs[0];
  require(src.rank() == 4 || src.rank() == 2,
          "batch_norm: src must be (N, C, H, W) or (N, C), got ", src);
  require(!s.has(1) || s.shape(1) == src, "batch_norm: the addend ", s.shape(1),
          " must have the shape of src ", src);
  const Shape channels{src[1]};
  for (size_t i = 2; i < 6; ++i) {
    require(s.inputs[i] == channels, "batch_norm: src ", src, " needs parameters of shape ",
            channels, ", got ", s.inputs[i]);
  }
  activation_of(s.attributes);
  const bool training = is_training(s.attributes);
  require(!training || Planes(src).count() > 1, "batch_norm: src ", src,
          " has one value per channel, whose variance is zero; use a larger batch, norm=group or "
          "norm=frozen");
  const Shape statistics = training ? channels : Shape{};
  const Planes planes(src);
  const Shape mask = saves_activation(s) && has_mask(s.attributes)
                         ? Shape{planes.n, planes.c, planes.mask_row()}
                         : Shape{};
  return {{src}, {statistics}, {statistics}, {mask, ElementType::u8}};
}

std::vector<Parameter> parameters(const OpShapes& s) {
  require(s.inputs[0].rank() >= 2, "batch_norm: src must be (N, C, H, W) or (N, C), got ",
          s.inputs[0]);
  const Shape channels{s.inputs[0][1]};
  const Init one{Init::Kind::constant, 1};
  return {{2, "weight", channels, one, Role::weight},
          {3, "bias", channels, {}, Role::weight},
          {4, "running_mean", channels, {}, Role::statistic},
          {5, "running_var", channels, one, Role::statistic}};
}

Saves saves(const OpShapes& s) {
  Saves saved{{0, 2, 3}, {}};
  if (saves_activation(s)) saved.outputs.push_back(has_mask(s.attributes) ? 3 : 0);
  auto& statistics = is_training(s.attributes) ? saved.outputs : saved.inputs;
  const size_t first = is_training(s.attributes) ? 1 : 4;
  statistics.insert(statistics.end(), {first, first + 1});
  return saved;
}

void gradient(GradientBuilder& g) {
  std::vector<TensorId> parts = g.diff_output_parts();
  if (parts.empty()) return;
  while (parts.size() > 2) {
    parts[1] = g.emit("add", {parts[1], parts[2]})[0];
    parts.erase(parts.begin() + 2);
  }
  const bool activated = activation_of(g.attributes()) != Activation::none;
  const bool two = parts.size() == 2;
  // Without mask and sum, the addend's gradient is diff_dst itself.
  const bool makes_diff_addend = g.wants(1) && (activated || two);
  if (g.wants(1) && !makes_diff_addend) g.set_diff_input(1, parts[0]);
  const std::vector<bool> wanted = {g.wants(0), makes_diff_addend, g.wants(2), g.wants(3)};
  if (std::find(wanted.begin(), wanted.end(), true) == wanted.end()) return;

  const bool training = is_training(g.attributes());
  std::vector<TensorId> inputs = {g.input(0),
                                  parts[0],
                                  two ? parts[1] : kNoTensor,
                                  g.input(2),
                                  g.input(3),
                                  training ? g.output(1) : g.input(4),
                                  training ? g.output(2) : g.input(5)};
  if (activated && g.has_input(1)) {
    const bool mask = has_mask(g.attributes());
    if (mask) inputs.push_back(kNoTensor);
    inputs.push_back(g.output(mask ? 3 : 0));
  }
  const auto diffs = g.emit("batch_norm_backward", std::move(inputs), g.attributes(), wanted);
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i]) g.set_diff_input(i, diffs[i]);
  }
}

OpDef replay() {
  OpDef def;
  def.name = "batch_norm_replay";
  def.summary = "batch_norm again, with the batch's mean and deviation that it kept";
  def.attributes = attribute_specs();
  def.inputs = {{"src"}, {"addend", true}, {"gamma"}, {"beta"}, {"mean"}, {"inv_std"}};
  def.outputs = {{"dst"}};
  def.infer = [](const OpShapes& s) { return std::vector<TensorSpec>{{s.inputs[0]}}; };
  def.in_place = {{0, 0}, {1, 0}};
  def.flops = [](const OpShapes& s) { return 3 * s.inputs[0].elements(); };
  def.kernels = portable_kernels<Replay>();
  return def;
}

OpDef backward() {
  OpDef def;
  def.name = "batch_norm_backward";
  def.summary = "gradient of batch_norm; works with the sum of two diff_dst";
  def.attributes = attribute_specs();
  // Frozen: mean and inv_std are the running mean and variance.
  def.inputs = {{"src"},  {"diff_dst"}, {"diff_dst_2", true}, {"gamma"},     {"beta"},
                {"mean"}, {"inv_std"},  {"dst", true},        {"mask", true}};
  def.outputs = {{"diff_src"}, {"diff_addend"}, {"diff_gamma"}, {"diff_beta"}};
  def.infer = [](const OpShapes& s) {
    return std::vector<TensorSpec>{{s.inputs[0]}, {s.inputs[0]}, {s.inputs[3]}, {s.inputs[3]}};
  };
  def.in_place = {{0, 0}, {1, 0}, {2, 0}, {1, 1}, {2, 1}, {7, 1}};
  def.summed_inputs = {1, 2};
  def.flops = [](const OpShapes& s) { return 10 * s.inputs[0].elements(); };
  def.kernels = portable_kernels<Backward>();
  return def;
}

}  // namespace

void define_batch_norm(OpTable& table) {
  OpDef def;
  def.name = "batch_norm";
  def.summary = "batch normalisation, then an optional addend, then an optional activation";
  def.onnx = "BatchNormalization";
  def.attributes = attribute_specs();
  def.inputs = {{"src"}, {"addend", true}, {"gamma"}, {"beta"}, {"running_mean"}, {"running_var"}};
  def.outputs = {{"dst"}, {"mean"}, {"inv_std"}, {"mask"}};
  def.infer = infer_forward;
  def.parameters = parameters;
  def.updates = [](const OpShapes& s) {
    return is_training(s.attributes) ? std::vector<size_t>{4, 5} : std::vector<size_t>{};
  };
  def.gradient = gradient;
  def.saves = saves;
  def.in_place = {{0, 0}, {1, 0}};
  def.replay = [](const Node& node) {
    Node again = node;
    if (!is_training(node.attributes)) return again;
    again.op = "batch_norm_replay";
    again.inputs[4] = node.outputs[1];
    again.inputs[5] = node.outputs[2];
    again.outputs.resize(1);
    return again;
  };
  def.spatial = [](const Attributes& a) {
    const auto kind = is_training(a) ? Spatial::Kind::global : Spatial::Kind::pointwise;
    return Spatial{kind, {}, {}, {}, {}};
  };
  def.flops = [](const OpShapes& s) {
    return (is_training(s.attributes) ? 7 : 3) * s.inputs[0].elements();
  };
  def.kernels = portable_kernels<Forward>();
  table.add(def);
  table.add(replay());
  table.add(backward());
}

}  // namespace thimble
