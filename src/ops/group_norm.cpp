#include <cmath>

#include "ops/core/normalisation.h"
#include "ops/core/signal_power.h"

// Group normalisation (arXiv 1803.08494): each image and group of channels by itself, with the
// residual addend and the activation that follow it in networks, as in batch norm. Letters and
// shapes: ops/core/normalisation.h. G groups; mean, inv_std (N, G).

namespace thimble {
namespace {

const std::string kName = "group_norm";

struct Groups : Planes {
  int64_t g;
  Groups(const Shape& src, const Attributes& attributes)
      : Planes(src), g(attributes.integer("groups")) {}

  int64_t width() const { return c / g; }      // channels of a group
  int64_t count() const { return c / g * a; }  // values that share a mean
  // Call `body(i)` for each element of plane `plane` of N*C, or of group `ng` of N*G.
  template <class Body>
  void each_in_plane(int64_t plane, const Body& body) const {
    for (int64_t i = plane * a; i < (plane + 1) * a; ++i) body(i);
  }
  template <class Body>
  void each_in_group(int64_t ng, const Body& body) const {
    for (int64_t i = ng * count(); i < (ng + 1) * count(); ++i) body(i);
  }
};

struct Forward {
  template <class T>
  static void run(const OpCall& call) {
    const Groups groups(call.in_shape(0), call.attributes);
    parallel_for(groups.n * groups.g, 1, [&](int64_t begin, int64_t end) {
      for (int64_t ng = begin; ng < end; ++ng) group<T>(call, groups, ng);
    });
  }

  template <class T>
  static void group(const OpCall& call, const Groups& groups, int64_t ng) {
    using Sum = Accumulator<T>;
    const Activation activation = activation_of(kName, call.attributes);
    const T* src = call.in<T>(0);
    const T* addend = call.in<T>(1);
    T* dst = call.out<T>(0);
    const Sum count(static_cast<double>(groups.count()));
    Sum sum(0), squares(0);
    groups.each_in_group(ng, [&](int64_t i) { sum += Sum(src[i]); });
    const Sum center = sum / count;
    groups.each_in_group(ng, [&](int64_t i) {
      const Sum distance = Sum(src[i]) - center;
      squares += distance * distance;
    });
    const T mean = T(center);
    const T inv_std = T(Sum(1) / std::sqrt(squares / count + Sum(call.attributes.real("epsilon"))));
    if (call.has_output(1)) call.out<T>(1)[ng] = mean;
    if (call.has_output(2)) call.out<T>(2)[ng] = inv_std;
    for (int64_t p = ng * groups.width(); p < (ng + 1) * groups.width(); ++p) {
      const Affine<T> affine(call.in<T>(2)[p % groups.c], call.in<T>(3)[p % groups.c], mean,
                             inv_std);
      groups.each_in_plane(p, [&](int64_t i) {
        dst[i] =
            activate(activation, addend != nullptr ? affine(src[i]) + addend[i] : affine(src[i]));
      });
      if (call.has_output(3)) groups.write_mask(p, activation, dst, call.out<uint8_t>(3));
    }
  }
};

// First g, the gradient below the activation, and the parameters' sums, by channel; then diff_src,
// by group. diff_src may lie over src or a diff_dst, and diff_addend over a diff_dst: g is then
// read back from diff_addend, never made twice.
struct Backward {
  template <class T>
  static void run(const OpCall& call) {
    const Groups groups(call.in_shape(0), call.attributes);
    parallel_for(groups.c, 1, [&](int64_t begin, int64_t end) {
      for (int64_t c = begin; c < end; ++c) parameters<T>(call, groups, c);
    });
    if (!call.has_output(0)) return;
    parallel_for(groups.n * groups.g, 1, [&](int64_t begin, int64_t end) {
      for (int64_t ng = begin; ng < end; ++ng) data<T>(call, groups, ng);
    });
  }

  template <class T>
  static Affine<T> affine(const OpCall& call, const Groups& groups, int64_t plane) {
    const int64_t c = plane % groups.c, ng = plane / groups.width();
    return {call.in<T>(3)[c], call.in<T>(4)[c], call.in<T>(5)[ng], call.in<T>(6)[ng]};
  }

  template <class T>
  static void parameters(const OpCall& call, const Groups& groups, int64_t c) {
    using Sum = Accumulator<T>;
    const Upstream<T> upstream(call, groups, activation_of(kName, call.attributes));
    const T* src = call.in<T>(0);
    T* diff_addend = call.out<T>(1);
    Sum sum_g(0), sum_gx(0);  // of g and of g * normalised src
    for (int64_t plane = c; plane < groups.n * groups.c; plane += groups.c) {
      const Affine<T> map = affine<T>(call, groups, plane);
      const int64_t ng = plane / groups.width();
      const Sum mean(call.in<T>(5)[ng]), inv_std(call.in<T>(6)[ng]);
      groups.each_in_plane(plane, [&](int64_t i) {
        const T g = upstream(i, map);
        if (diff_addend != nullptr) diff_addend[i] = g;
        sum_g += Sum(g);
        sum_gx += Sum(g) * (Sum(src[i]) - mean) * inv_std;
      });
    }
    if (call.has_output(2)) call.out<T>(2)[c] = T(sum_gx);
    if (call.has_output(3)) call.out<T>(3)[c] = T(sum_g);
  }

  template <class T>
  static void data(const OpCall& call, const Groups& groups, int64_t ng) {
    using Sum = Accumulator<T>;
    const Upstream<T> upstream(call, groups, activation_of(kName, call.attributes));
    const T* src = call.in<T>(0);
    const T* gamma = call.in<T>(3);
    const T mean = call.in<T>(5)[ng];
    const T inv_std = call.in<T>(6)[ng];
    T* diff_src = call.out<T>(0);
    const T* ready = call.out<T>(1);
    // Calls `body(i, g * gamma)` for each element of the group.
    const auto each = [&](const auto& body) {
      for (int64_t p = ng * groups.width(); p < (ng + 1) * groups.width(); ++p) {
        const Affine<T> map = affine<T>(call, groups, p);
        const T scale = gamma[p % groups.c];
        groups.each_in_plane(p, [&](int64_t i) {
          body(i, (ready != nullptr ? ready[i] : upstream(i, map)) * scale);
        });
      }
    };
    Sum sum_g(0), sum_gx(0);  // of g * gamma and of g * gamma * (src - mean)
    each([&](int64_t i, T g) {
      sum_g += Sum(g);
      sum_gx += Sum(g) * (Sum(src[i]) - Sum(mean));
    });
    const Sum count(static_cast<double>(groups.count()));
    const T mean_g = T(sum_g / count);
    const T slope = T(sum_gx * Sum(inv_std) * Sum(inv_std) / count);
    each([&](int64_t i, T g) { diff_src[i] = inv_std * (g - mean_g - (src[i] - mean) * slope); });
  }
};

std::vector<AttributeSpec> attribute_specs() {
  std::vector<AttributeSpec> specs = {
      {"groups", int64_t{1}, "channels are split into this many; must divide them"},
      {"epsilon", 1e-5, "added to the variance"}};
  add_activation_attributes(specs);
  return specs;
}

void check_groups(const OpShapes& s) {
  const Shape& src = s.inputs[0];
  require(src.rank() == 4 || src.rank() == 2,
          "group_norm: src must be (N, C, H, W) or (N, C), got ", src);
  const int64_t groups = s.attributes.integer("groups");
  require(groups > 0 && src[1] % groups == 0, "group_norm: ", groups, " groups must divide the ",
          src[1], " channels of src ", src);
}

std::vector<TensorSpec> infer_forward(const OpShapes& s) {
  check_groups(s);
  check_normalised(kName, s, 2);
  const Shape& src = s.inputs[0];
  const Groups groups(src, s.attributes);
  require(groups.count() > 1, "group_norm: src ", src, " has one value in each of ", groups.g,
          " groups, whose variance is zero; use fewer groups");
  const Shape statistics{groups.n, groups.g};
  constexpr auto kFull = ElementType::f32;
  return {{src}, {statistics, kFull}, {statistics, kFull}, mask_spec(kName, s)};
}

OpDef backward() {
  OpDef def;
  def.name = "group_norm_backward";
  def.summary = "gradient of group_norm; works with the sum of two diff_dst";
  def.attributes = attribute_specs();
  define_normalisation_backward(def);
  def.flops = [](const OpShapes& s) { return 14 * s.inputs[0].elements(); };
  def.kernels = portable_kernels<Backward>();
  return def;
}

}  // namespace

void define_group_norm(OpTable& table) {
  OpDef def;
  def.name = kName;
  def.summary =
      "normalisation of each image's channel groups, then an optional addend, then an "
      "optional activation";
  def.attributes = attribute_specs();
  def.inputs = {{"src"}, {"addend", true}, {"gamma"}, {"beta"}};
  def.outputs = {{"dst"}, {"mean"}, {"inv_std"}, {"mask"}};
  def.infer = infer_forward;
  def.parameters = [](const OpShapes& s) {
    check_groups(s);
    const Shape channels{s.inputs[0][1]};
    return std::vector<Parameter>{{2, "weight", channels, {Init::Kind::constant, 1}, Role::weight},
                                  {3, "bias", channels, {}, Role::weight}};
  };
  def.gradient = [](GradientBuilder& g) {
    normalisation_gradient(kName, g, g.output(1), g.output(2));
  };
  def.saves = [](const OpShapes& s) {
    Saves saved = normalisation_saves(kName, s);
    saved.outputs.insert(saved.outputs.end(), {1, 2});
    return saved;
  };
  def.in_place = {{0, 0}, {1, 0}};
  def.power = power_behind_norm;
  def.spatial = [](const Attributes&) { return Spatial{Spatial::Kind::global, {}, {}, {}, {}}; };
  def.flops = [](const OpShapes& s) { return 8 * s.inputs[0].elements(); };
  def.kernels = portable_kernels<Forward>();
  table.add(def);
  table.add(backward());
}

}  // namespace thimble
