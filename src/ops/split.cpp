#include <algorithm>
#include <numeric>

#include "ops/core/builder.h"
#include "ops/core/copy.h"
#include "ops/core/gradient.h"
#include "ops/core/text.h"

namespace thimble {
namespace {

struct Split {
  template <class T>
  static void run(const OpCall& call) {
    const AxisView whole(call.in_shape(0), call.attributes.integer("axis"));
    const auto& sizes = call.attributes.integers("sizes");
    const T* src = call.in<T>(0);
    for (size_t i = 0; i < sizes.size(); ++i) {
      const int64_t length = sizes[i] * whole.inner;
      if (call.has_output(i)) {
        copy_rows(src, whole.size * whole.inner, call.out<T>(i), length, whole.outer, length);
      }
      src += length;
    }
  }
};

struct SplitBackward {
  template <class T>
  static void run(const OpCall& call) {
    const AxisView whole(call.out_shape(0), call.attributes.integer("axis"));
    const auto& sizes = call.attributes.integers("sizes");
    T* diff_src = call.out<T>(0);
    for (size_t i = 0; i < sizes.size(); ++i) {
      const int64_t length = sizes[i] * whole.inner;
      copy_rows(call.in<T>(i), length, diff_src, whole.size * whole.inner, whole.outer, length);
      diff_src += length;
    }
  }
};

struct Slice {
  template <class T>
  static void run(const OpCall& call) {
    const AxisView whole(call.in_shape(0), call.attributes.integer("axis"));
    const AxisView part(call.out_shape(0), call.attributes.integer("axis"));
    const T* src = call.in<T>(0) + call.attributes.integer("begin") * whole.inner;
    copy_rows(src, whole.size * whole.inner, call.out<T>(0), part.size * part.inner, whole.outer,
              part.size * part.inner);
  }
};

std::vector<TensorSpec> infer_split(const OpShapes& s) {
  const int64_t axis = s.attributes.integer("axis");
  const auto& sizes = s.attributes.integers("sizes");
  require_axis("split", s.inputs[0], axis);
  require(!sizes.empty() && *std::min_element(sizes.begin(), sizes.end()) > 0,
          "split: sizes must be positive, got ", text_of(sizes));
  const int64_t total = std::accumulate(sizes.begin(), sizes.end(), int64_t{0});
  require(total == s.inputs[0][static_cast<int>(axis)], "split: sizes ", text_of(sizes),
          " add up to ", total, ", but axis ", axis, " of ", s.inputs[0], " has ",
          s.inputs[0][static_cast<int>(axis)]);
  std::vector<TensorSpec> parts;
  for (int64_t size : sizes) parts.push_back({with_axis_size(s.inputs[0], axis, size)});
  return parts;
}

std::vector<TensorSpec> infer_backward(const OpShapes& s) {
  const int64_t axis = s.attributes.integer("axis");
  const auto& sizes = s.attributes.integers("sizes");
  require(s.inputs.size() == sizes.size(), "split_backward: ", sizes.size(), " parts, but ",
          s.inputs.size(), " gradients");
  Shape whole;
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (!s.has(i)) continue;
    require_axis("split_backward", s.inputs[i], axis);
    if (whole.rank() == 0) whole = s.inputs[i];
    require(s.inputs[i] == with_axis_size(whole, axis, sizes[i]), "split_backward: gradient ", i,
            " must be ", with_axis_size(whole, axis, sizes[i]), ", got ", s.inputs[i]);
  }
  require(whole.rank() > 0, "split_backward: needs the gradient of at least one part");
  return {{with_axis_size(whole, axis, std::accumulate(sizes.begin(), sizes.end(), int64_t{0}))}};
}

std::vector<TensorSpec> infer_slice(const OpShapes& s) {
  const int64_t axis = s.attributes.integer("axis");
  const int64_t begin = s.attributes.integer("begin");
  const int64_t end = s.attributes.integer("end");
  require_axis("slice", s.inputs[0], axis);
  require(0 <= begin && begin < end && end <= s.inputs[0][static_cast<int>(axis)], "slice: [",
          begin, ", ", end, ") is not a range of axis ", axis, " of ", s.inputs[0]);
  return {{with_axis_size(s.inputs[0], axis, end - begin)}};
}

void gradient(GradientBuilder& g) {
  // Parts that the loss does not depend on stay absent: the kernel writes zeros.
  std::vector<TensorId> diffs;
  for (size_t i = 0; i < g.attributes().integers("sizes").size(); ++i) {
    diffs.push_back(g.diff_output(i));
  }
  g.set_diff_input(0, g.emit("split_backward", diffs, g.attributes())[0]);
}

// As of a split whose other parts nobody read.
void slice_gradient(GradientBuilder& g) {
  const int64_t axis = g.attributes().integer("axis");
  const int64_t begin = g.attributes().integer("begin");
  const int64_t end = g.attributes().integer("end");
  const int64_t size = g.input_shape(0)[static_cast<int>(axis)];
  std::vector<int64_t> sizes;
  std::vector<TensorId> diffs;
  const auto add = [&](int64_t part, TensorId diff) {
    if (part == 0) return;
    sizes.push_back(part);
    diffs.push_back(diff);
  };
  add(begin, kNoTensor);
  add(end - begin, g.diff_output());
  add(size - end, kNoTensor);
  g.set_diff_input(0, g.emit("split_backward", diffs, {{"axis", axis}, {"sizes", sizes}})[0]);
}

Inverse inverted(const Graph&, const Node& node, size_t) {
  Node again = node;
  again.op = "concat";
  again.inputs = node.outputs;
  again.attributes = {{"axis", node.attributes.integer("axis")}};
  for (TensorId part : node.outputs) {
    if (part == kNoTensor)
      return {std::nullopt, str_cat("not every part of ", node.name, " is made")};
  }
  return {std::move(again)};
}

std::vector<AttributeSpec> attribute_specs() {
  return {{"axis", int64_t{1}, "the axis that is cut"},
          {"sizes", ints({}), "the parts' sizes along it"}};
}

}  // namespace

void define_split(OpTable& table) {
  OpDef split;
  split.name = "split";
  split.summary = "cuts a tensor into parts along one axis";
  split.attributes = attribute_specs();
  split.inputs = {{"src"}};
  split.outputs = {{"..."}};
  split.infer = infer_split;
  split.gradient = gradient;
  split.inverse = inverted;
  split.spatial = spatial_along_axis;
  split.flops = no_flops;
  split.kernels = portable_kernels<Split>();
  table.add(split);

  OpDef backward;
  backward.name = "split_backward";
  backward.summary = "gradient of split: joins the parts' gradients, zeros for absent ones";
  backward.attributes = attribute_specs();
  backward.inputs = {{"..."}};
  backward.outputs = {{"diff_src"}};
  backward.infer = infer_backward;
  backward.spatial = spatial_along_axis;
  backward.flops = no_flops;
  backward.kernels = portable_kernels<SplitBackward>();
  table.add(backward);

  OpDef slice;
  slice.name = "slice";
  slice.summary = "a range of one axis; the gradient of concat";
  slice.attributes = {{"axis", int64_t{1}, "the axis that is cut"},
                      {"begin", int64_t{0}, "the first index kept"},
                      {"end", int64_t{0}, "one past the last index kept"}};
  slice.inputs = {{"src"}};
  slice.outputs = {{"dst"}};
  slice.infer = infer_slice;
  slice.gradient = slice_gradient;
  slice.spatial = spatial_along_axis;
  slice.flops = no_flops;
  slice.kernels = portable_kernels<Slice>();
  table.add(slice);
}

}  // namespace thimble
