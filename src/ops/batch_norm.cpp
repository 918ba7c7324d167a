#include <cmath>

#include "ops/core/normalisation.h"
#include "ops/core/signal_loss.h"
#include "ops/core/signal_power.h"

// Batch normalisation (arXiv 1502.03167) with the residual addend and the activation that follow
// it in networks: dst = activation(src * scale + shift + addend). Letters and shapes:
// ops/core/normalisation.h. mean, inv_std (C).

namespace thimble {
namespace {

bool is_training(const Attributes& a) { return a.integer("training") != 0; }

template <class T>
T inverse_deviation(T variance, const Attributes& a) {
  return T(1) / std::sqrt(variance + T(a.real("epsilon")));
}

Activation activation_of(const Attributes& a) { return activation_of("batch_norm", a); }

// With a floor no channel's scale comes near zero, so that src can be had again from dst: |gamma| +
// floor, as in In-Place ABN (arXiv 1712.02616).
template <class T>
T floored(T gamma, const Attributes& a) {
  const double floor = a.real("scale_floor");
  if (floor <= 0) return gamma;
  return (branch_value(gamma) < 0 ? -gamma : gamma) + T(floor);
}

template <class T>
bool is_mirrored(T gamma, const Attributes& a) {
  return a.real("scale_floor") > 0 && branch_value(gamma) < 0;
}

template <class T>
Affine<T> affine_of(const OpCall& call, size_t gamma, int64_t c, T mean, T inv_std) {
  return {floored(call.in<T>(gamma)[c], call.attributes), call.in<T>(gamma + 1)[c], mean, inv_std};
}

int64_t count_of(const Planes& planes) { return planes.n * planes.a; }

// Calls `body(i)` for each element of a channel.
template <class Body>
void each(const Planes& planes, int64_t channel, const Body& body) {
  for (int64_t image = 0; image < planes.n; ++image) {
    const int64_t begin = (image * planes.c + channel) * planes.a;
    for (int64_t i = begin; i < begin + planes.a; ++i) body(i);
  }
}

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
        const Affine<T> affine = affine_of(call, 2, c, mean, inv_std);
        each(planes, c, [&](int64_t i) {
          dst[i] =
              activate(activation, addend != nullptr ? affine(src[i]) + addend[i] : affine(src[i]));
        });
        if (!call.has_output(3)) continue;
        for (int64_t n = 0; n < planes.n; ++n) {
          planes.write_mask(n * planes.c + c, activation, dst, call.out<uint8_t>(3));
        }
      }
    });
  }

  // The batch's mean and deviation, and the running ones moved towards them: biased variance to
  // normalise with, unbiased to keep, as PyTorch.
  template <class T>
  static void batch_statistics(const OpCall& call, const Planes& planes, int64_t c, T* mean,
                               T* inv_std) {
    using Sum = Accumulator<T>;
    const T* src = call.in<T>(0);
    const Sum count(static_cast<double>(count_of(planes)));
    Sum sum(0), squares(0);
    each(planes, c, [&](int64_t i) { sum += Sum(src[i]); });
    const Sum center = sum / count;
    each(planes, c, [&](int64_t i) {
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
        const Affine<T> affine = affine_of(call, 2, c, call.in<T>(4)[c], call.in<T>(5)[c]);
        each(planes, c, [&](int64_t i) {
          dst[i] =
              activate(activation, addend != nullptr ? affine(src[i]) + addend[i] : affine(src[i]));
        });
      }
    });
  }
};

// src again from dst: back through the activation, the addend and the affine map. What the
// activation let through whole is asked of dst, because src has been rounded.
struct InverseKernel {
  template <class T>
  static void run(const OpCall& call) {
    const Planes planes(call.in_shape(0));
    const Activation activation = activation_of(call.attributes);
    const T* dst = call.in<T>(0);
    const T* addend = call.in<T>(1);
    T* src = call.out<T>(0);
    parallel_for(planes.c, 1, [&](int64_t begin, int64_t end) {
      for (int64_t c = begin; c < end; ++c) {
        if (call.has_output(1)) {
          for (int64_t n = 0; n < planes.n; ++n) {
            planes.write_mask(n * planes.c + c, activation, dst, call.out<uint8_t>(1));
          }
        }
        const T mean = call.in<T>(4)[c];
        const T beta = call.in<T>(3)[c];
        const T inv_std = is_training(call.attributes)
                              ? call.in<T>(5)[c]
                              : inverse_deviation(call.in<T>(5)[c], call.attributes);
        const T unscale = T(1) / affine_of(call, 2, c, mean, inv_std).scale;
        each(planes, c, [&](int64_t i) {
          T x = dst[i];
          if (!passes(activation, x)) x /= T(activation.slope);
          if (addend != nullptr) x -= addend[i];
          src[i] = mean + (x - beta) * unscale;
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
    const Planes planes(call.in_shape(1));
    parallel_for(planes.c, 1, [&](int64_t begin, int64_t end) {
      for (int64_t c = begin; c < end; ++c) channel<T>(call, planes, c);
    });
  }

  template <class T>
  static void channel(const OpCall& call, const Planes& planes, int64_t c) {
    using Sum = Accumulator<T>;
    const bool training = is_training(call.attributes);
    const Upstream<T> upstream(call, planes, activation_of(call.attributes));
    const T* src = call.in<T>(0);
    const T mean = call.in<T>(5)[c];
    const T inv_std =
        training ? call.in<T>(6)[c] : inverse_deviation(call.in<T>(6)[c], call.attributes);
    const Affine<T> affine = affine_of(call, 3, c, mean, inv_std);
    T* diff_src = call.out<T>(0);
    T* diff_addend = call.out<T>(1);

    Sum sum_g(0), sum_gx(0);  // of g and of g * (src - mean)
    each(planes, c, [&](int64_t i) {
      const T g = upstream(i, affine);
      if (diff_addend != nullptr) diff_addend[i] = g;
      sum_g += Sum(g);
      if (src != nullptr) sum_gx += Sum(g) * (Sum(src[i]) - Sum(mean));
    });
    if (call.has_output(2)) {
      const T diff = T(sum_gx * Sum(inv_std));
      call.out<T>(2)[c] = is_mirrored(call.in<T>(3)[c], call.attributes) ? -diff : diff;
    }
    if (call.has_output(3)) call.out<T>(3)[c] = T(sum_g);
    if (diff_src == nullptr) return;

    const Sum count(static_cast<double>(count_of(planes)));
    const T mean_g = training ? T(sum_g / count) : T(0);
    const T slope = training ? T(sum_gx * Sum(inv_std) * Sum(inv_std) / count) : T(0);
    each(planes, c, [&](int64_t i) {
      const T g = diff_addend != nullptr ? diff_addend[i] : upstream(i, affine);
      diff_src[i] =
          training ? affine.scale * (g - mean_g - (src[i] - mean) * slope) : affine.scale * g;
    });
  }
};

std::vector<AttributeSpec> attribute_specs() {
  std::vector<AttributeSpec> specs = {
      {"training", int64_t{1}, "1: statistics of the batch; 0: the running ones, frozen"},
      {"epsilon", 1e-5, "added to the variance"},
      {"momentum", 0.1, "the weight of the batch in the running statistics"},
      {"scale_floor", 0.0, "above 0: scales by |gamma| + this, so that src follows from dst"}};
  add_activation_attributes(specs);
  return specs;
}

std::vector<TensorSpec> infer_forward(const OpShapes& s) {
  check_normalised("batch_norm", s, 4);
  require(s.attributes.real("scale_floor") >= 0, "batch_norm: scale_floor is ",
          s.attributes.real("scale_floor"), ", needs 0 or more");
  const Shape& src = s.inputs[0];
  const bool training = is_training(s.attributes);
  require(!training || count_of(Planes(src)) > 1, "batch_norm: src ", src,
          " has one value per channel, whose variance is zero; use a larger batch, norm=group or "
          "norm=frozen");
  constexpr auto kFull = ElementType::f32;
  const Shape statistics = training ? Shape{src[1]} : Shape{};
  return {{src}, {statistics, kFull}, {statistics, kFull}, mask_spec("batch_norm", s)};
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
  Saves saved = normalisation_saves("batch_norm", s, !is_training(s.attributes));
  auto& statistics = is_training(s.attributes) ? saved.outputs : saved.inputs;
  const size_t first = is_training(s.attributes) ? 1 : 4;
  statistics.insert(statistics.end(), {first, first + 1});
  return saved;
}

void gradient(GradientBuilder& g) {
  const bool training = is_training(g.attributes());
  normalisation_gradient("batch_norm", g, training ? g.output(1) : g.input(4),
                         training ? g.output(2) : g.input(5), !training);
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

Inverse inverted(const Graph&, const Node& node, size_t input) {
  const Attributes& a = node.attributes;
  if (input != 0) return {std::nullopt, "batch_norm gives back src alone"};
  const Activation activation = activation_of(a);
  if (activation == Activation::relu || activation == Activation::relu6) {
    return {std::nullopt, str_cat(a.text("activation"), " of ", node.name,
                                  " loses what is below zero; leaky_relu does not")};
  }
  if (a.real("scale_floor") <= 0) {
    return {std::nullopt, str_cat("gamma of ", node.name,
                                  " may come near zero; scale_floor keeps its scale away from it")};
  }
  Node again = node;
  again.op = "batch_norm_inverse";
  again.inputs[0] = node.outputs[0];
  if (is_training(a)) {
    again.inputs[4] = node.outputs[1];
    again.inputs[5] = node.outputs[2];
  }
  const bool leaky = activation == Activation::leaky_relu;
  return {std::move(again), "", kNormLossDb + (leaky ? leaky_loss_db(activation.slope) : 0), true};
}

// Equation 22, with a leaky ReLU behind it.
Node predicted_loss(const Node& inverse) {
  const Attributes& a = inverse.attributes;
  const bool leaky = a.text("activation") == "leaky_relu";
  Node loss;
  loss.op = "batch_norm_loss";
  loss.inputs = {inverse.inputs.begin() + 2, inverse.inputs.begin() + 6};
  loss.attributes = {{"training", a.integer("training")},
                     {"scale_floor", a.real("scale_floor")},
                     {"epsilon", a.real("epsilon")},
                     {"slope", leaky ? a.real("slope") : 1.0}};
  return loss;
}

OpDef inverse() {
  OpDef def;
  def.name = "batch_norm_inverse";
  def.predicted_loss = predicted_loss;
  def.summary = "src of batch_norm again, from dst and the statistics";
  def.attributes = attribute_specs();
  def.inputs = {{"dst"}, {"addend", true}, {"gamma"}, {"beta"}, {"mean"}, {"inv_std"}};
  def.outputs = {{"src"}, {"mask"}};
  def.infer = [](const OpShapes& s) {
    const Planes planes(s.inputs[0]);
    const bool activated = activation_of(s.attributes) != Activation::none;
    const Shape mask{planes.n, planes.c, planes.mask_row()};
    return std::vector<TensorSpec>{{s.inputs[0]}, {activated ? mask : Shape{}, ElementType::u8}};
  };
  def.in_place = {{0, 0}, {1, 0}};
  def.flops = [](const OpShapes& s) { return 4 * s.inputs[0].elements(); };
  def.kernels = portable_kernels<InverseKernel>();
  return def;
}

OpDef backward() {
  OpDef def;
  def.name = "batch_norm_backward";
  def.summary = "gradient of batch_norm; works with the sum of two diff_dst";
  def.attributes = attribute_specs();
  define_normalisation_backward(def);  // frozen: mean and inv_std are the running mean and variance
  def.flops = [](const OpShapes& s) { return 10 * s.inputs[1].elements(); };
  def.kernels = portable_kernels<Backward>();
  return def;
}

}  // namespace

void define_batch_norm(OpTable& table) {
  OpDef def;
  def.name = "batch_norm";
  def.summary = "batch normalisation, then an optional addend, then an optional activation";
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
  def.inverse = inverted;
  def.power = power_behind_norm;
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
  table.add(inverse());
  table.add(backward());
}

}  // namespace thimble
