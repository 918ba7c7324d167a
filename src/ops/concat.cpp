#include "ops/core/copy.h"
#include "ops/core/gradient.h"

namespace thimble {
namespace {

struct Concat {
  template <class T>
  static void run(const OpCall& call) {
    const int64_t axis = call.attributes.integer("axis");
    const AxisView whole(call.out_shape(0), axis);
    T* dst = call.out<T>(0);
    for (size_t i = 0; i < call.inputs.size(); ++i) {
      const int64_t length = AxisView(call.in_shape(i), axis).size * whole.inner;
      copy_rows(call.in<T>(i), length, dst, whole.size * whole.inner, whole.outer, length);
      dst += length;
    }
  }
};

std::vector<TensorSpec> infer(const OpShapes& s) {
  const int64_t axis = s.attributes.integer("axis");
  require(!s.inputs.empty(), "concat: needs at least one input");
  const Shape& first = s.inputs[0];
  require_axis("concat", first, axis);
  int64_t size = 0;
  for (const Shape& shape : s.inputs) {
    require(shape.rank() == first.rank() &&
                with_axis_size(shape, axis, 0) == with_axis_size(first, axis, 0),
            "concat: shapes ", first, " and ", shape, " may differ in axis ", axis, " only");
    size += shape[static_cast<int>(axis)];
  }
  return {{with_axis_size(first, axis, size)}};
}

Attributes range(int64_t axis, int64_t begin, int64_t end) {
  return {{"axis", axis}, {"begin", begin}, {"end", end}};
}

void gradient(GradientBuilder& g) {
  const int64_t axis = g.attributes().integer("axis");
  int64_t begin = 0;
  for (size_t i = 0; i < g.input_count(); ++i) {
    const int64_t end = begin + g.input_shape(i)[static_cast<int>(axis)];
    if (g.wants(i)) {
      g.set_diff_input(i, g.emit("slice", {g.diff_output()}, range(axis, begin, end))[0]);
    }
    begin = end;
  }
}

Inverse inverted(const Graph& graph, const Node& node, size_t input) {
  const int64_t axis = node.attributes.integer("axis");
  const auto size = [&](size_t i) {
    return graph.tensor(node.inputs[i]).shape[static_cast<int>(axis)];
  };
  int64_t begin = 0;
  for (size_t i = 0; i < input; ++i) begin += size(i);
  Node again = node;
  again.op = "slice";
  again.inputs = node.outputs;
  again.attributes = range(axis, begin, begin + size(input));
  return {std::move(again)};
}

}  // namespace

void define_concat(OpTable& table) {
  OpDef def;
  def.name = "concat";
  def.summary = "joins tensors along one axis";
  def.attributes = {{"axis", int64_t{1}, "the axis along which sizes add up"}};
  def.inputs = {{"..."}};
  def.outputs = {{"dst"}};
  def.infer = infer;
  def.gradient = gradient;
  def.inverse = inverted;
  def.spatial = spatial_along_axis;
  def.flops = no_flops;
  def.kernels = portable_kernels<Concat>();
  table.add(def);
}

}  // namespace thimble
