#include "ops/core/gradient.h"
#include "ops/core/sums.h"

// src_0 (N, C, H, W), src_1 and dst the same; or src_1 (N, C, 1, 1), one factor for each plane, as
// squeeze-excitation has it (arXiv 1709.01507). Without that, any shape.

namespace thimble {
namespace {

// Planes of src_0 with one factor each; else a "plane" is one element.
int64_t plane_of(const Shape& whole, const Shape& factors) {
  return factors.elements() > 0 ? whole.elements() / factors.elements() : 1;
}

struct Mul {
  template <class T>
  static void run(const OpCall& call) {
    const T* a = call.in<T>(0);
    const T* b = call.in<T>(1);
    T* dst = call.out<T>(0);
    const int64_t plane = plane_of(call.in_shape(0), call.in_shape(1));
    if (plane == 1) {
      parallel_for(call.outputs[0].elements, kParallelGrain, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) dst[i] = a[i] * b[i];
      });
      return;
    }
    parallel_for(call.in_shape(1).elements(), grain_of(plane), [&](int64_t begin, int64_t end) {
      for (int64_t p = begin; p < end; ++p) {
        for (int64_t i = p * plane; i < (p + 1) * plane; ++i) dst[i] = a[i] * b[p];
      }
    });
  }
};

struct Factors {
  template <class T>
  static void run(const OpCall& call) {
    const T* src = call.in<T>(0);
    const T* diff_dst = call.in<T>(1);
    T* diff = call.out<T>(0);
    const int64_t plane = plane_of(call.in_shape(0), call.out_shape(0));
    parallel_for(call.out_shape(0).elements(), grain_of(plane), [&](int64_t begin, int64_t end) {
      for (int64_t p = begin; p < end; ++p) {
        diff[p] = dot(src + p * plane, diff_dst + p * plane, plane);
      }
    });
  }
};

void require_equal(const char* op, const Shape& a, const Shape& b) {
  require(a == b, op, ": shapes ", a, " and ", b, " must be equal");
}

OpDef factors() {
  OpDef def;
  def.name = "mul_backward_factors";
  def.summary = "gradient of mul with respect to one factor for each plane";
  def.inputs = {{"src"}, {"diff_dst"}};
  def.outputs = {{"diff_factors"}};
  def.infer = [](const OpShapes& s) {
    require_equal("mul_backward_factors", s.inputs[0], s.inputs[1]);
    require(s.inputs[0].rank() == 4, "mul_backward_factors: src must be (N, C, H, W), got ",
            s.inputs[0]);
    return std::vector<TensorSpec>{{{s.inputs[0][0], s.inputs[0][1], 1, 1}}};
  };
  def.flops = [](const OpShapes& s) { return 2 * s.inputs[0].elements(); };
  def.kernels = portable_kernels<Factors>();
  return def;
}

}  // namespace

void define_mul(OpTable& table) {
  OpDef def;
  def.name = "mul";
  def.summary = "the elementwise product; or each plane of an image times a factor of its own";
  def.inputs = {{"src_0"}, {"src_1"}};
  def.outputs = {{"dst"}};
  def.infer = [](const OpShapes& s) {
    const Shape& a = s.inputs[0];
    if (a.rank() != 4 || s.inputs[1] != Shape{a[0], a[1], 1, 1}) {
      require_equal("mul", a, s.inputs[1]);
    }
    return std::vector<TensorSpec>{{a}};
  };
  def.gradient = [](GradientBuilder& g) {
    const TensorId diff_dst = g.diff_output();
    if (g.wants(0)) g.set_diff_input(0, g.emit("mul", {diff_dst, g.input(1)})[0]);
    if (!g.wants(1)) return;
    const bool same = g.input_shape(0) == g.input_shape(1);
    g.set_diff_input(1, same ? g.emit("mul", {diff_dst, g.input(0)})[0]
                             : g.emit("mul_backward_factors", {g.input(0), diff_dst})[0]);
  };
  def.saves = [](const OpShapes&) { return Saves{{0, 1}, {}}; };
  def.in_place = {{0, 0}, {1, 0}};
  def.kernels = portable_kernels<Mul>();
  table.add(def);
  table.add(factors());
}

}  // namespace thimble
