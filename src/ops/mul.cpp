#include "ops/core/gradient.h"

namespace thimble {
namespace {

struct Mul {
  template <class T>
  static void run(const OpCall& call) {
    const T* a = call.in<T>(0);
    const T* b = call.in<T>(1);
    T* dst = call.out<T>(0);
    parallel_for(call.outputs[0].elements, kParallelGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) dst[i] = a[i] * b[i];
    });
  }
};

}  // namespace

void define_mul(OpTable& table) {
  OpDef def;
  def.name = "mul";
  def.summary = "the elementwise product of two tensors of one shape";
  def.onnx = "Mul";
  def.inputs = {{"src_0"}, {"src_1"}};
  def.outputs = {{"dst"}};
  def.infer = [](const OpShapes& s) {
    require(s.inputs[0] == s.inputs[1], "mul: shapes ", s.inputs[0], " and ", s.inputs[1],
            " must be equal");
    return std::vector<TensorSpec>{{s.inputs[0]}};
  };
  def.gradient = [](GradientBuilder& g) {
    const TensorId diff_dst = g.diff_output();
    if (g.wants(0)) g.set_diff_input(0, g.emit("mul", {diff_dst, g.input(1)})[0]);
    if (g.wants(1)) g.set_diff_input(1, g.emit("mul", {diff_dst, g.input(0)})[0]);
  };
  def.saves = [](const OpShapes&) { return Saves{{0, 1}, {}}; };
  def.in_place = {{0, 0}, {1, 0}};
  def.elementwise = true;
  def.spatial = [](const Attributes&) { return Spatial{Spatial::Kind::pointwise, {}, {}, {}, {}}; };
  def.kernels = portable_kernels<Mul>();
  table.add(def);
}

}  // namespace thimble
