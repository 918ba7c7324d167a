#include "ops/core/gradient.h"
#include "ops/core/signal_power.h"

namespace thimble {
namespace {

struct Add {
  template <class T>
  static void run(const OpCall& call) {
    const T* a = call.in<T>(0);
    const T* b = call.in<T>(1);
    T* dst = call.out<T>(0);
    parallel_for(call.outputs[0].elements, kParallelGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) dst[i] = a[i] + b[i];
    });
  }
};

struct Subtract {
  template <class T>
  static void run(const OpCall& call) {
    const T* dst = call.in<T>(0);
    const T* other = call.in<T>(1);
    T* src = call.out<T>(0);
    parallel_for(call.outputs[0].elements, kParallelGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) src[i] = dst[i] - other[i];
    });
  }
};

Inverse inverted(const Graph&, const Node& node, size_t input) {
  if (node.inputs[0] == node.inputs[1]) return {std::nullopt, "it is added to itself"};
  Node again = node;
  again.op = "add_inverse";
  again.inputs = {node.outputs[0], node.inputs[1 - input]};
  return {std::move(again), "", 0, true};
}

OpDef inverse() {
  OpDef def;
  def.name = "add_inverse";
  def.summary = "one term of a sum again, from the sum and the other term";
  def.sum_signs = std::array<double, 2>{1, -1};
  def.inputs = {{"dst"}, {"other"}};
  def.outputs = {{"src"}};
  def.infer = [](const OpShapes& s) { return std::vector<TensorSpec>{{s.inputs[0]}}; };
  def.in_place = {{0, 0}, {1, 0}};
  def.elementwise = true;
  def.kernels = portable_kernels<Subtract>();
  return def;
}

}  // namespace

void define_add(OpTable& table) {
  OpDef def;
  def.name = "add";
  def.summary = "the sum of two tensors of one shape";
  def.sum_signs = std::array<double, 2>{1, 1};
  def.inputs = {{"src_0"}, {"src_1"}};
  def.outputs = {{"dst"}};
  def.infer = [](const OpShapes& s) {
    require(s.inputs[0] == s.inputs[1], "add: shapes ", s.inputs[0], " and ", s.inputs[1],
            " must be equal");
    return std::vector<TensorSpec>{{s.inputs[0]}};
  };
  def.gradient = [](GradientBuilder& g) {
    for (size_t i : {size_t{0}, size_t{1}}) {
      if (g.wants(i)) g.set_diff_input(i, g.diff_output());
    }
  };
  def.in_place = {{0, 0}, {1, 0}};
  def.inverse = inverted;
  def.power = power_of_sum;
  def.elementwise = true;
  def.spatial = [](const Attributes&) { return Spatial{Spatial::Kind::pointwise, {}, {}, {}, {}}; };
  def.kernels = portable_kernels<Add>();
  table.add(def);
  table.add(inverse());
}

}  // namespace thimble
