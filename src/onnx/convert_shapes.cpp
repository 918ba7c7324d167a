#include <algorithm>
#include <numeric>

#include "onnx/convert.h"
#include "onnx/fold.h"

namespace thimble {
namespace {

using Sizes = std::vector<int64_t>;

[[noreturn]] void refuse_mixing() {
  throw Refused("mixes the images of a batch", "keep the batch as the first size");
}

// The node's output has the elements of its input for each image, under another shape.
void add_reshape(Draft& draft, const NodeView& node, const Shape& to) {
  const Shape& from = draft.shape(node.input(0));
  if (from == to) return draft.alias(node.output(0), node.input(0));
  if (to.rank() == 2) return add_layer(draft, node, "flatten", {node.input(0)});
  Sizes sizes(to.begin(), to.end());
  sizes[0] = -1;
  add_layer(draft, node, "reshape", {node.input(0)}, {{"shape", sizes}});
}

Shape shape_of(const Sizes& sizes) {
  accept(sizes.size() <= Shape::kMaxRank, "makes a tensor of ", sizes.size(), " dimensions");
  Shape shape;
  for (int64_t size : sizes) shape.push_back(size);
  return shape;
}

// Sizes per image that a Reshape asks for, with the batch before them.
Shape reshape_target(const Draft& draft, const Shape& from, const std::vector<Whole>& asked) {
  accept(!asked.empty(), "drops the batch");
  Sizes own(from.begin(), from.end());
  Sizes rest;
  bool open = false;
  for (size_t i = 1; i < asked.size(); ++i) {
    if (!asked[i].known()) refuse_mixing();
    rest.push_back(asked[i].base);
    open = open || asked[i].base == -1;
  }
  for (size_t i = 0; i < rest.size(); ++i) {
    if (rest[i] != 0) continue;
    accept(i + 1 < own.size(), "copies size ", i + 1, " of ", from);
    rest[i] = own[i + 1];
  }
  const bool batch =
      asked[0] == Whole{0, 1} || asked[0] == Whole{0} ||
      (asked[0].known() && draft.fixed_batch > 0 && asked[0].base == draft.fixed_batch);
  // Whatever else stands there is the batch when the others are all that an image has.
  if (!batch && (open || !asked[0].known())) refuse_mixing();
  const Sizes image(own.begin() + 1, own.end());
  const Sizes per_image = reshaped(image, rest);
  Sizes whole = {kBatch};
  whole.insert(whole.end(), per_image.begin(), per_image.end());
  return shape_of(whole);
}

void convert_reshape(Draft& draft, const NodeView& node) {
  const Shape& from = activation(draft, node, 0);
  const Constant* to = optional_constant(draft, node, 1);
  accept(to != nullptr && to->whole, "has no shape of whole numbers");
  accept(node.integer("allowzero", 0) == 0, "its attribute 'allowzero' is set");
  add_reshape(draft, node, reshape_target(draft, from, to->wholes));
}

void convert_flatten(Draft& draft, const NodeView& node) {
  const Shape& from = activation(draft, node, 0);
  const int64_t axis = node.integer("axis", 1);
  if (axis != 1 && axis + from.rank() != 1) refuse_mixing();
  if (from.rank() == 2) return draft.alias(node.output(0), node.input(0));
  add_layer(draft, node, "flatten", {node.input(0)});
}

void convert_squeeze(Draft& draft, const NodeView& node) {
  const Shape& from = activation(draft, node, 0);
  const Sizes axes = axes_of(node, optional_constant(draft, node, 1), {});
  std::vector<bool> dropped(static_cast<size_t>(from.rank()));
  for (size_t i = 1; axes.empty() && i < dropped.size(); ++i) {
    dropped[i] = from[static_cast<int>(i)] == 1;
  }
  for (int64_t axis : axes) dropped[axis_of(axis, dropped.size())] = true;
  if (dropped[0]) refuse_mixing();
  Sizes sizes;
  for (size_t i = 0; i < dropped.size(); ++i) {
    const int64_t size = from[static_cast<int>(i)];
    accept(!dropped[i] || size == 1, "drops axis ", i, " of ", from);
    if (!dropped[i]) sizes.push_back(size);
  }
  add_reshape(draft, node, shape_of(sizes));
}

void convert_unsqueeze(Draft& draft, const NodeView& node) {
  const Shape& from = activation(draft, node, 0);
  const Sizes axes = axes_of(node, optional_constant(draft, node, 1), {});
  accept(axes.size() <= Shape::kMaxRank, "adds ", axes.size(), " axes");
  Sizes sizes(static_cast<size_t>(from.rank()) + axes.size(), -1);
  for (int64_t axis : axes) sizes[axis_of(axis, sizes.size())] = 1;
  if (sizes[0] != -1) refuse_mixing();
  int next = 0;
  for (int64_t& size : sizes) {
    if (size != -1) continue;
    accept(next < from.rank(), "names an axis twice");
    size = from[next++];
  }
  add_reshape(draft, node, shape_of(sizes));
}

void convert_transpose(Draft& draft, const NodeView& node) {
  const Shape& from = activation(draft, node, 0);
  const auto rank = static_cast<size_t>(from.rank());
  Sizes order(rank);
  for (size_t i = 0; i < rank; ++i) order[i] = static_cast<int64_t>(rank - 1 - i);
  order = node.integers("perm", order);
  Sizes sorted = order;
  std::sort(sorted.begin(), sorted.end());
  Sizes straight(rank);
  std::iota(straight.begin(), straight.end(), 0);
  accept(sorted == straight, "its attribute 'perm' is no order of ", rank, " axes");
  if (order[0] != 0) refuse_mixing();
  Shape to;
  Sizes moved;  // the axes that have more than one place, in their new order
  for (int64_t axis : order) {
    to.push_back(from[static_cast<int>(axis)]);
    if (to[to.rank() - 1] != 1) moved.push_back(axis);
  }
  if (std::is_sorted(moved.begin(), moved.end())) return add_reshape(draft, node, to);
  draft.add_pseudo("?transpose", node.name(), node.op(), {node.input(0)}, node.output(0),
                   {{"perm", order}}, to);
}

int64_t axis_behind_batch(const NodeView& node, const Shape& shape, int64_t initial) {
  const size_t axis = axis_of(node.integer("axis", initial), static_cast<size_t>(shape.rank()));
  if (axis == 0) refuse_mixing();
  return static_cast<int64_t>(axis);
}

void convert_concat(Draft& draft, const NodeView& node) {
  std::vector<std::string> inputs;
  for (size_t i = 0; i < node.input_count(); ++i) {
    activation(draft, node, i);
    inputs.push_back(node.input(i));
  }
  accept(!inputs.empty() && node.has("axis"), "has no inputs or no axis");
  const int64_t axis = axis_behind_batch(node, draft.shape(inputs[0]), 1);
  if (inputs.size() == 1) return draft.alias(node.output(0), inputs[0]);
  add_layer(draft, node, "concat", inputs, {{"axis", axis}});
}

void convert_split(Draft& draft, const NodeView& node) {
  const Shape& from = activation(draft, node, 0);
  const int64_t axis = axis_behind_batch(node, from, 0);
  const auto parts = static_cast<int64_t>(node.output_count());
  const int64_t size = from[static_cast<int>(axis)];
  const Constant* given = optional_constant(draft, node, 1);
  Sizes sizes = given != nullptr ? known_values(*given) : node.integers("split", {});
  if (sizes.empty()) {
    accept(parts > 0 && size % parts == 0, "cuts ", size, " into ", parts, " parts");
    sizes.assign(static_cast<size_t>(parts), size / parts);
  }
  accept(static_cast<int64_t>(sizes.size()) == parts, "has ", parts, " outputs, but ", sizes.size(),
         " sizes");
  accept(std::all_of(sizes.begin(), sizes.end(), [&](int64_t s) { return s > 0 && s <= size; }),
         "makes a part of no size");
  if (parts == 1) return draft.alias(node.output(0), node.input(0));
  std::vector<std::string> outputs;
  for (size_t i = 0; i < node.output_count(); ++i) {
    outputs.push_back(node.output(i).empty() ? str_cat(node.name(), ".part", i) : node.output(i));
  }
  draft.add("split", node.name(), node.op(), {node.input(0)}, outputs,
            {{"axis", axis}, {"sizes", sizes}});
}

void convert_slice(Draft& draft, const NodeView& node) {
  const Shape from = activation(draft, node, 0);
  std::vector<const Constant*> inputs;
  for (size_t i = 0; i < node.input_count(); ++i) {
    inputs.push_back(i == 0 ? nullptr : optional_constant(draft, node, i));
  }
  const Sizes sizes(from.begin(), from.end());
  const std::vector<Cut> cuts = cuts_of(node, inputs, sizes);
  Sizes cut_axes;
  for (size_t i = 0; i < cuts.size(); ++i) {
    if (cuts[i].count == sizes[i] && cuts[i].step > 0) continue;
    accept(cuts[i].step == 1 && cuts[i].count > 0, "steps by ", cuts[i].step, " or takes nothing");
    cut_axes.push_back(static_cast<int64_t>(i));
  }
  if (cut_axes.empty()) return draft.alias(node.output(0), node.input(0));
  if (cut_axes.size() > 1 || cut_axes[0] == 0) {
    throw Refused(str_cat("cuts axes of ", from, " other than one behind the batch"),
                  "slice one axis at a time");
  }
  const Cut& cut = cuts[static_cast<size_t>(cut_axes[0])];
  add_layer(draft, node, "slice", {node.input(0)},
            {{"axis", cut_axes[0]}, {"begin", cut.start}, {"end", cut.start + cut.count}});
}

void drop(Draft& draft, const NodeView& node) {
  activation(draft, node, 0);
  draft.alias(node.output(0), node.input(0));
}

void convert_cast(Draft& draft, const NodeView& node) {
  using onnx::TensorProto;
  const int64_t to = node.integer("to", 0);
  accept(to == TensorProto::FLOAT || to == TensorProto::DOUBLE || to == TensorProto::FLOAT16 ||
             to == TensorProto::BFLOAT16,
         "makes whole numbers of what is computed from the images");
  drop(draft, node);
}

}  // namespace

void add_shape_converters(Converters& table) {
  table["Reshape"] = convert_reshape;
  table["Flatten"] = convert_flatten;
  table["Squeeze"] = convert_squeeze;
  table["Unsqueeze"] = convert_unsqueeze;
  table["Transpose"] = convert_transpose;
  table["Concat"] = convert_concat;
  table["Split"] = convert_split;
  table["Slice"] = convert_slice;
  table["Identity"] = drop;
  table["Dropout"] = drop;
  table["Cast"] = convert_cast;
}

}  // namespace thimble
