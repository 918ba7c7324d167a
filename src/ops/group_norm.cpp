#include <cmath>

#include "ops/core/gradient.h"

// Group normalisation (arXiv 1803.08494): each image and group of channels by itself.
// N batch; C channels; G groups; A the H*W positions of a plane (1 for rank 2).
// src, dst (N, C, H, W) or (N, C); gamma, beta (C); mean, inv_std (N, G).

namespace thimble {
namespace {

struct Groups {
  int64_t n, c, a, g;
  Groups(const Shape& src, const Attributes& attributes)
      : n(src[0]),
        c(src[1]),
        a(src.elements() / (src[0] * src[1])),
        g(attributes.integer("groups")) {}

  int64_t count() const { return c / g * a; }  // values that share a mean
  // Calls `body(i, channel)` for each element of group `ng` of N*G.
  template <class Body>
  void each(int64_t ng, const Body& body) const {
    for (int64_t i = ng * count(); i < (ng + 1) * count(); ++i) body(i, i / a % c);
  }
};

struct Forward {
  template <class T>
  static void run(const OpCall& call) {
    using Sum = Accumulator<T>;
    const Groups groups(call.in_shape(0), call.attributes);
    const T* src = call.in<T>(0);
    const T* gamma = call.in<T>(1);
    const T* beta = call.in<T>(2);
    T* dst = call.out<T>(0);
    T* mean = call.out<T>(1);
    T* inv_std = call.out<T>(2);
    const Sum count(static_cast<double>(groups.count()));
    const Sum epsilon(call.attributes.real("epsilon"));
    parallel_for(groups.n * groups.g, 1, [&](int64_t begin, int64_t end) {
      for (int64_t ng = begin; ng < end; ++ng) {
        Sum sum(0), squares(0);
        groups.each(ng, [&](int64_t i, int64_t) { sum += Sum(src[i]); });
        const Sum center = sum / count;
        groups.each(ng, [&](int64_t i, int64_t) {
          const Sum distance = Sum(src[i]) - center;
          squares += distance * distance;
        });
        const T m = T(center);
        const T r = T(Sum(1) / std::sqrt(squares / count + epsilon));
        if (mean != nullptr) mean[ng] = m;
        if (inv_std != nullptr) inv_std[ng] = r;
        groups.each(ng,
                    [&](int64_t i, int64_t c) { dst[i] = (src[i] - m) * r * gamma[c] + beta[c]; });
      }
    });
  }
};

struct Backward {
  template <class T>
  static void run(const OpCall& call) {
    const Groups groups(call.in_shape(0), call.attributes);
    // Parameters first: diff_src may overwrite src or diff_dst.
    parallel_for(groups.c, 1, [&](int64_t begin, int64_t end) {
      for (int64_t c = begin; c < end; ++c) parameters<T>(call, groups, c);
    });
    if (!call.has_output(0)) return;
    parallel_for(groups.n * groups.g, 1, [&](int64_t begin, int64_t end) {
      for (int64_t ng = begin; ng < end; ++ng) data<T>(call, groups, ng);
    });
  }

  template <class T>
  static void parameters(const OpCall& call, const Groups& groups, int64_t c) {
    using Sum = Accumulator<T>;
    Sum sum_g(0), sum_gx(0);  // of diff_dst and of diff_dst * normalised src
    for (int64_t n = 0; n < groups.n; ++n) {
      const int64_t ng = n * groups.g + c / (groups.c / groups.g);
      const Sum mean(call.in<T>(3)[ng]), inv_std(call.in<T>(4)[ng]);
      const int64_t first = (n * groups.c + c) * groups.a;
      for (int64_t i = first; i < first + groups.a; ++i) {
        const Sum g(call.in<T>(1)[i]);
        sum_g += g;
        sum_gx += g * (Sum(call.in<T>(0)[i]) - mean) * inv_std;
      }
    }
    if (call.has_output(1)) call.out<T>(1)[c] = T(sum_gx);
    if (call.has_output(2)) call.out<T>(2)[c] = T(sum_g);
  }

  template <class T>
  static void data(const OpCall& call, const Groups& groups, int64_t ng) {
    using Sum = Accumulator<T>;
    const T* src = call.in<T>(0);
    const T* diff_dst = call.in<T>(1);
    const T* gamma = call.in<T>(2);
    const T mean = call.in<T>(3)[ng];
    const T inv_std = call.in<T>(4)[ng];
    T* diff_src = call.out<T>(0);
    Sum sum_g(0), sum_gx(0);  // of g = diff_dst * gamma and of g * (src - mean)
    groups.each(ng, [&](int64_t i, int64_t c) {
      const Sum g = Sum(diff_dst[i]) * Sum(gamma[c]);
      sum_g += g;
      sum_gx += g * (Sum(src[i]) - Sum(mean));
    });
    const Sum count(static_cast<double>(groups.count()));
    const T mean_g = T(sum_g / count);
    const T slope = T(sum_gx * Sum(inv_std) * Sum(inv_std) / count);
    groups.each(ng, [&](int64_t i, int64_t c) {
      diff_src[i] = inv_std * (diff_dst[i] * gamma[c] - mean_g - (src[i] - mean) * slope);
    });
  }
};

std::vector<AttributeSpec> attribute_specs() {
  return {{"groups", int64_t{1}, "channels are split into this many; must divide them"},
          {"epsilon", 1e-5, "added to the variance"}};
}

void check_src(const OpShapes& s) {
  const Shape& src = s.inputs[0];
  require(src.rank() == 4 || src.rank() == 2,
          "group_norm: src must be (N, C, H, W) or (N, C), got ", src);
  const int64_t groups = s.attributes.integer("groups");
  require(groups > 0 && src[1] % groups == 0, "group_norm: ", groups, " groups must divide the ",
          src[1], " channels of src ", src);
}

std::vector<TensorSpec> infer_forward(const OpShapes& s) {
  check_src(s);
  const Shape& src = s.inputs[0];
  const Shape channels{src[1]};
  for (size_t i : {size_t{1}, size_t{2}}) {
    require(s.inputs[i] == channels, "group_norm: src ", src, " needs parameters of shape ",
            channels, ", got ", s.inputs[i]);
  }
  const Groups groups(src, s.attributes);
  require(groups.count() > 1, "group_norm: src ", src, " has one value in each of ", groups.g,
          " groups, whose variance is zero; use fewer groups");
  const Shape statistics{groups.n, groups.g};
  return {{src}, {statistics}, {statistics}};
}

void gradient(GradientBuilder& g) {
  const std::vector<bool> wanted = {g.wants(0), g.wants(1), g.wants(2)};
  const auto diffs = g.emit("group_norm_backward",
                            {g.input(0), g.diff_output(), g.input(1), g.output(1), g.output(2)},
                            g.attributes(), wanted);
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i]) g.set_diff_input(i, diffs[i]);
  }
}

OpDef backward() {
  OpDef def;
  def.name = "group_norm_backward";
  def.summary = "gradient of group_norm";
  def.attributes = attribute_specs();
  def.inputs = {{"src"}, {"diff_dst"}, {"gamma"}, {"mean"}, {"inv_std"}};
  def.outputs = {{"diff_src"}, {"diff_gamma"}, {"diff_beta"}};
  def.infer = [](const OpShapes& s) {
    return std::vector<TensorSpec>{{s.inputs[0]}, {s.inputs[2]}, {s.inputs[2]}};
  };
  def.in_place = {{1, 0}, {0, 0}};
  def.flops = [](const OpShapes& s) { return 14 * s.inputs[0].elements(); };
  def.kernels = portable_kernels<Backward>();
  return def;
}

}  // namespace

void define_group_norm(OpTable& table) {
  OpDef def;
  def.name = "group_norm";
  def.summary = "normalisation of each image's channel groups";
  def.onnx = "GroupNormalization";
  def.attributes = attribute_specs();
  def.inputs = {{"src"}, {"gamma"}, {"beta"}};
  def.outputs = {{"dst"}, {"mean"}, {"inv_std"}};
  def.infer = infer_forward;
  def.parameters = [](const OpShapes& s) {
    check_src(s);
    const Shape channels{s.inputs[0][1]};
    return std::vector<Parameter>{{1, "weight", channels, {Init::Kind::constant, 1}, Role::weight},
                                  {2, "bias", channels, {}, Role::weight}};
  };
  def.gradient = gradient;
  def.saves = [](const OpShapes&) { return Saves{{0, 1}, {1, 2}}; };
  def.spatial = [](const Attributes&) { return Spatial{Spatial::Kind::global, {}, {}, {}, {}}; };
  def.flops = [](const OpShapes& s) { return 8 * s.inputs[0].elements(); };
  def.kernels = portable_kernels<Forward>();
  table.add(def);
  table.add(backward());
}

}  // namespace thimble
