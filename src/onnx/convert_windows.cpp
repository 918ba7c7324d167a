#include <algorithm>
#include <cmath>

#include "onnx/convert.h"
#include "onnx/fold.h"
#include "ops/core/text.h"

namespace thimble {
namespace {

using Sizes = std::vector<int64_t>;

// More is no window, and products of two stay far inside int64.
constexpr int64_t kMostPixels = int64_t{1} << 24;

Sizes bounded(const char* what, const Sizes& sizes, size_t count, int64_t least) {
  accept(sizes.size() == count, "its attribute '", what, "' has ", sizes.size(), " values, needed ",
         count, "; thimble knows images of two dimensions, (N, C, H, W)");
  for (int64_t v : sizes) {
    accept(v >= least && v <= kMostPixels, "its attribute '", what, "' is ", text_of(sizes));
  }
  return sizes;
}

struct Window {
  Sizes kernel, stride, dilation, padding;  // (H, W); top, left, bottom, right
};

// Pads that keep an image of `size` pixels at size / stride, rounded up.
void pad_same(Window& window, const Shape& src, bool upper) {
  for (size_t k = 0; k < 2; ++k) {
    const int64_t size = src[static_cast<int>(k) + 2];
    const int64_t out = (size + window.stride[k] - 1) / window.stride[k];
    const int64_t reach = (window.kernel[k] - 1) * window.dilation[k] + 1;
    const int64_t all = std::max<int64_t>(0, (out - 1) * window.stride[k] + reach - size);
    window.padding[k] = upper ? all / 2 : all - all / 2;
    window.padding[k + 2] = all - window.padding[k];
  }
}

Window window_of(const NodeView& node, const Sizes& kernel, const Shape& src) {
  Window window;
  window.kernel = bounded("kernel_shape", node.integers("kernel_shape", kernel), 2, 1);
  window.stride = bounded("strides", node.integers("strides", {1, 1}), 2, 1);
  window.dilation = bounded("dilations", node.integers("dilations", {1, 1}), 2, 1);
  window.padding = bounded("pads", node.integers("pads", {0, 0, 0, 0}), 4, 0);
  const std::string way = node.text("auto_pad", "NOTSET");
  accept(way == "NOTSET" || way == "VALID" || way == "SAME_UPPER" || way == "SAME_LOWER",
         "its attribute 'auto_pad' is '", way, "'");
  if (way == "VALID") window.padding = {0, 0, 0, 0};
  if (way.starts_with("SAME")) pad_same(window, src, way == "SAME_UPPER");
  return window;
}

void convert_conv(Draft& draft, const NodeView& node) {
  const Shape& src = image(draft, node, 0);
  const Constant* w = optional_constant(draft, node, 1);
  accept(w != nullptr, "has no weights");
  accept(w->shape.size() == 4, "its weights have ", w->shape.size(),
         " dimensions, needed 4: (outputs, inputs, H, W)");
  const Window window = window_of(node, {w->shape[2], w->shape[3]}, src);
  accept(window.kernel[0] == w->shape[2] && window.kernel[1] == w->shape[3],
         "its attribute 'kernel_shape' does not fit its weights");
  const Shape shape = {w->shape[0], w->shape[1], w->shape[2], w->shape[3]};
  const bool bias = optional_constant(draft, node, 2) != nullptr;
  std::vector<std::string> inputs = {node.input(0),
                                     draft.parameter(node.input(1), shape, Role::weight)};
  if (bias) inputs.push_back(draft.parameter(node.input(2), {shape[0]}, Role::weight));
  const int64_t groups = node.integer("group", 1);
  accept(groups > 0 && groups <= src[1] && shape[1] <= kMostPixels, "has ", groups, " groups");
  add_layer(draft, node, "conv2d", std::move(inputs),
            {{"out_channels", shape[0]},
             {"kernel", window.kernel},
             {"stride", window.stride},
             {"padding", window.padding},
             {"dilation", window.dilation},
             {"groups", groups},
             {"bias", int64_t{bias}}});
}

void add_pool(Draft& draft, const NodeView& node, const std::string& op, Attributes attributes) {
  const Shape& src = image(draft, node, 0);
  accept(node.has("kernel_shape"), "has no attribute 'kernel_shape'");
  const Window window = window_of(node, {}, src);
  accept(window.dilation == Sizes({1, 1}), "its attribute 'dilations' is ",
         text_of(window.dilation), ", needed [1,1]");
  attributes.set("kernel", window.kernel);
  attributes.set("stride", window.stride);
  attributes.set("padding", window.padding);
  if (node.integer("ceil_mode", 0) != 0) attributes.set("ceil_mode", int64_t{1});
  add_layer(draft, node, op, {node.input(0)}, attributes);
}

void convert_max_pool(Draft& draft, const NodeView& node) { add_pool(draft, node, "max_pool", {}); }

void convert_average_pool(Draft& draft, const NodeView& node) {
  const int64_t counts = node.integer("count_include_pad", 0) != 0 ? 1 : 0;
  add_pool(draft, node, "average_pool", {{"count_include_pad", counts}});
}

void convert_global_average_pool(Draft& draft, const NodeView& node) {
  image(draft, node, 0);
  add_layer(draft, node, "global_average_pool", {node.input(0)});
}

void convert_global_max_pool(Draft& draft, const NodeView& node) {
  const Shape& src = image(draft, node, 0);
  const Sizes whole = {src[2], src[3]};
  add_layer(draft, node, "max_pool", {node.input(0)},
            {{"kernel", whole}, {"stride", whole}, {"padding", Sizes{0, 0, 0, 0}}});
}

void convert_reduce_mean(Draft& draft, const NodeView& node) {
  const Shape& src = image(draft, node, 0);
  Sizes axes = axes_of(node, optional_constant(draft, node, 1), {0, 1, 2, 3});
  for (int64_t& axis : axes) axis = static_cast<int64_t>(axis_of(axis, 4));
  std::sort(axes.begin(), axes.end());
  if (axes != Sizes({2, 3})) {
    throw Refused(str_cat("takes the mean over axes ", text_of(axes), " of ", src),
                  "means over height and width, axes [2,3], are known");
  }
  if (node.integer("keepdims", 1) != 0) {
    add_layer(draft, node, "global_average_pool", {node.input(0)});
    return;
  }
  const std::string pooled = node.output(0) + ".pooled";
  draft.add("global_average_pool", node.name() + ".pool", node.op(), {node.input(0)}, {pooled}, {});
  add_layer(draft, node, "flatten", {pooled});
}

void convert_pad(Draft& draft, const NodeView& node) {
  const Shape& src = activation(draft, node, 0);
  const std::string mode = node.text("mode", "constant");
  if (mode != "constant") {
    throw Refused(str_cat("pads by '", mode, "'"), "pad with zeros in the model, then retrain");
  }
  const Constant* value = optional_constant(draft, node, 2);
  const double v = value != nullptr ? scalar_of(*value) : node.real("value", 0);
  accept(v == 0, "pads with ", v, ", needed 0");
  const Constant* pads = optional_constant(draft, node, 1);
  const Sizes p = pads != nullptr ? known_values(*pads) : node.integers("pads", {});
  const auto rank = static_cast<size_t>(src.rank());
  accept(p.size() == 2 * rank, "has ", p.size(), " pads for an input ", src);
  if (std::all_of(p.begin(), p.end(), [](int64_t v0) { return v0 == 0; })) {
    draft.alias(node.output(0), node.input(0));
    return;
  }
  accept(rank == 4 && p[0] == 0 && p[1] == 0 && p[4] == 0 && p[5] == 0, "pads by ", text_of(p),
         " an input ", src, "; pads of height and width are known");
  const Sizes padding = bounded("pads", {p[2], p[3], p[6], p[7]}, 4, 0);
  add_layer(draft, node, "pad", {node.input(0)}, {{"padding", padding}});
}

// Height and width that a Resize makes.
Sizes resized(Draft& draft, const NodeView& node, const Shape& src) {
  const Constant* scales = optional_constant(draft, node, 2);
  const Constant* sizes = optional_constant(draft, node, 3);
  if (sizes != nullptr && sizes->elements() == 4) {
    accept(sizes->whole && (sizes->wholes[0] == Whole{0, 1} || sizes->wholes[0].known()) &&
               known(sizes->wholes[1]) == src[1],
           "resizes other than height and width");
    return {known(sizes->wholes[2]), known(sizes->wholes[3])};
  }
  accept(scales != nullptr && scales->reals.size() == 4, "has neither four sizes nor four scales");
  accept(scales->reals[0] == 1 && scales->reals[1] == 1, "resizes other than height and width");
  Sizes made;
  for (size_t k = 2; k < 4; ++k) {
    const double size = std::floor(static_cast<double>(src[static_cast<int>(k)]) *
                                   static_cast<double>(scales->reals[k]));
    accept(size >= 1 && size <= static_cast<double>(kMostPixels), "makes images of ", size,
           " pixels");
    made.push_back(static_cast<int64_t>(size));
  }
  return made;
}

void convert_resize(Draft& draft, const NodeView& node) {
  const Shape& src = image(draft, node, 0);
  const std::string mode = node.text("mode", "nearest");
  const std::string way = node.text("coordinate_transformation_mode", "half_pixel");
  const Sizes size = bounded("sizes", resized(draft, node, src), 2, 1);
  if (size == Sizes({src[2], src[3]})) {
    draft.alias(node.output(0), node.input(0));
    return;
  }
  // The two differ where one pixel is made.
  const bool half =
      way == "half_pixel" || (way == "pytorch_half_pixel" && std::min(size[0], size[1]) > 1);
  if (mode != "linear" || !half) {
    throw Refused(str_cat("resizes by '", mode, "' with '", way, "'"),
                  "mode linear with half_pixel (align_corners=False in PyTorch) is known");
  }
  add_layer(draft, node, "upsample_bilinear", {node.input(0)}, {{"size", size}});
}

void convert_space_to_depth(Draft& draft, const NodeView& node) {
  image(draft, node, 0);
  const int64_t block = node.integer("blocksize", 0);
  add_layer(draft, node, "space_to_depth", {node.input(0)}, {{"block", block}});
}

}  // namespace

void add_window_converters(Converters& table) {
  table["Conv"] = convert_conv;
  table["MaxPool"] = convert_max_pool;
  table["AveragePool"] = convert_average_pool;
  table["GlobalAveragePool"] = convert_global_average_pool;
  table["GlobalMaxPool"] = convert_global_max_pool;
  table["ReduceMean"] = convert_reduce_mean;
  table["Pad"] = convert_pad;
  table["Resize"] = convert_resize;
  table["SpaceToDepth"] = convert_space_to_depth;
}

}  // namespace thimble
