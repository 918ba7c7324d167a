#include "onnx/simplify.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "onnx/rewriter.h"

namespace thimble {
namespace {

using Sizes = std::vector<int64_t>;
using Layer = DraftLayer;

// Files hold constants as floats.
bool near(double a, double b) { return std::abs(a - b) <= 1e-5 * std::max(1.0, std::abs(b)); }

const std::string& input(const Layer& layer, size_t i = 0) { return layer.layer.inputs[i]; }
double real(const Layer& layer, const char* name) { return layer.layer.attributes.real(name); }

bool is_affine(const Layer* layer, double scale, double shift) {
  return layer != nullptr && near(real(*layer, "scale"), scale) &&
         near(real(*layer, "shift"), shift);
}

// With the numbers that files hold.
void become_hard_sigmoid(Rewriter& r, Layer& at, const Layer& affine, double factor) {
  const auto number = [&](const char* name) {
    return decimal(static_cast<float>(real(affine, name) * factor));
  };
  r.become(at, "hard_sigmoid", {input(affine)},
           {{"alpha", number("scale")}, {"beta", number("shift")}});
}

void join_affine(Rewriter& r, Layer& at) {
  if (const Layer* before = r.maker(at, 0, "?affine")) {
    const double scale = real(at, "scale") * real(*before, "scale");
    const double shift = real(*before, "shift") * real(at, "scale") + real(at, "shift");
    r.become(at, "?affine", {input(*before)}, {{"scale", scale}, {"shift", shift}});
  }
  const double scale = real(at, "scale");
  if (real(at, "shift") != 0) return;
  // relu6(a x + b) / 6
  if (const Layer* bounded = r.maker(at, 0, "relu6"); bounded != nullptr && near(scale * 6, 1)) {
    if (const Layer* before = r.maker(*bounded, 0, "?affine")) {
      become_hard_sigmoid(r, at, *before, 1.0 / 6);
    }
    return;
  }
  const Layer* product = r.maker(at, 0, "mul");
  if (product == nullptr) return;
  for (size_t side = 0; side < 2; ++side) {
    const std::string x = input(*product, 1 - side);
    // x * relu6(x + 3) / 6
    const Layer* bounded = r.maker(*product, side, "relu6");
    const Layer* before = bounded != nullptr ? r.maker(*bounded, 0, "?affine") : nullptr;
    if (near(scale * 6, 1) && is_affine(before, 1, 3) && input(*before) == x) {
      return r.become(at, "hard_swish", {x});
    }
    // x * (erf(x / sqrt(2)) + 1) / 2
    const Layer* more = r.maker(*product, side, "?affine");
    const Layer* erf = is_affine(more, 1, 1) ? r.maker(*more, 0, "?erf") : nullptr;
    const Layer* less = erf != nullptr ? r.maker(*erf, 0, "?affine") : nullptr;
    if (near(scale, 0.5) && is_affine(less, std::sqrt(0.5), 0) && input(*less) == x) {
      return r.become(at, "gelu", {x});
    }
  }
}

void join_clip(Rewriter& r, Layer& at) {
  double low = real(at, "min");
  const double high = real(at, "max");
  std::string from = input(at);
  if (const Layer* before = r.maker(at, 0, "relu"); before != nullptr && low <= 0 && high > 0) {
    low = 0;
    from = input(*before);
  }
  if (low == 0 && high == 6) return r.become(at, "relu6", {from});
  if (low == 0 && high == std::numeric_limits<double>::infinity()) {
    return r.become(at, "relu", {from});
  }
  const Layer* before = r.maker(at, 0, "?affine");
  if (low == 0 && high == 1 && before != nullptr) {
    become_hard_sigmoid(r, at, *before, 1);
  }
}

void join_mul(Rewriter& r, Layer& at) {
  for (size_t side = 0; side < 2; ++side) {
    const std::string x = input(at, 1 - side);
    const Layer* gate = r.maker(at, side, "sigmoid");
    if (gate != nullptr && input(*gate) == x) return r.become(at, "silu", {x});
    gate = r.maker(at, side, "hard_sigmoid");
    if (gate != nullptr && input(*gate) == x && near(real(*gate, "alpha"), 1.0 / 6) &&
        near(real(*gate, "beta"), 0.5)) {
      return r.become(at, "hard_swish", {x});
    }
  }
}

// (N, g C', H, W) to (N, g, C', H, W), transposed, and back.
void join_shuffle(Rewriter& r, Layer& at) {
  const Layer* turned = r.maker(at, 0, "?transpose");
  if (turned == nullptr || turned->layer.attributes.integers("perm") != Sizes({0, 2, 1, 3, 4})) {
    return;
  }
  const Layer* parted = r.maker(*turned, 0, "reshape");
  if (parted == nullptr || !r.draft().is_activation(input(*parted))) return;
  const Shape& whole = r.draft().shape(input(*parted));
  const bool keeps = parted->shape[3] == whole[2] && parted->shape.rank() == 5;
  if (!keeps || whole != at.shape) return;
  const int64_t groups = parted->shape[1];
  r.become(at, "channel_shuffle", {input(*parted)}, {{"groups", groups}});
}

// Whoever wrote (N, H, W, C) flattens images in that order: the weights behind know it.
void join_flatten(Rewriter& r, Layer& at) {
  Layer* flat = r.only_for(at, 0, "flatten");
  const Layer* turned = flat != nullptr ? r.only_for(*flat, 0, "?transpose") : nullptr;
  if (turned == nullptr || turned->layer.attributes.integers("perm") != Sizes({0, 2, 3, 1})) return;
  const int64_t c = turned->shape[3];
  const int64_t area = turned->shape[1] * turned->shape[2];
  const std::vector<float> from = r.draft().values.at(input(at, 1));
  std::vector<float> to(from.size());
  const auto rows = static_cast<int64_t>(from.size()) / (c * area);
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t i = 0; i < c * area; ++i) {
      const int64_t source = row * c * area + (i % area) * c + i / area;
      to[static_cast<size_t>(row * c * area + i)] = from[static_cast<size_t>(source)];
    }
  }
  const std::string weight = input(at, 1);
  const Shape shape = *r.draft().parameter_shape(weight);
  const std::string own =
      r.draft().changed_parameter(weight, std::move(to), shape, r.is_shared(weight));
  r.become(*flat, "flatten", {input(*turned)});
  std::vector<std::string> inputs = at.layer.inputs;
  inputs[1] = own;
  r.become(at, "linear", std::move(inputs), at.layer.attributes);
}

void join_shift(Rewriter& r, Layer& at) {
  for (const char* op : {"conv2d", "linear"}) {
    Layer* before = r.only_for(at, 0, op);
    if (before == nullptr || before->layer.inputs.size() != 2) continue;
    std::vector<std::string> inputs = before->layer.inputs;
    inputs.push_back(input(at, 1));
    Attributes attributes = before->layer.attributes;
    attributes.set("bias", int64_t{1});
    std::swap(at.layer.name, before->layer.name);
    return r.become(at, op, std::move(inputs), std::move(attributes));
  }
}

// Layer by layer: (N, G, C/G, ...) normalised, back, times gamma, plus beta.
void join_group_norm(Rewriter& r, Layer& at) {
  const Layer* scale = r.maker(at, 0, "?channel_scale");
  const Layer* back = scale != nullptr ? r.maker(*scale, 0, "reshape") : nullptr;
  const Layer* norm = back != nullptr ? r.maker(*back, 0, "?instance_norm") : nullptr;
  const Layer* parted = norm != nullptr ? r.maker(*norm, 0, "reshape") : nullptr;
  if (parted == nullptr) return;
  const Shape& whole = r.draft().shape(input(*parted));
  if (whole != at.shape || whole.rank() != 4 || parted->shape.rank() != 3) return;
  r.become(at, "group_norm", {input(*parted), "", input(*scale, 1), input(at, 1)},
           {{"groups", parted->shape[1]}, {"epsilon", real(*norm, "epsilon")}});
}

Attributes depthwise(int64_t channels, bool bias) {
  return {{"out_channels", channels},     {"kernel", Sizes{1, 1}},   {"stride", Sizes{1, 1}},
          {"padding", Sizes{0, 0, 0, 0}}, {"dilation", Sizes{1, 1}}, {"groups", channels},
          {"bias", int64_t{bias}}};
}

// Numbers that are no weights: they are not trained.
std::string same_for_all(Rewriter& r, const Layer& at, const char* suffix, double value,
                         const Shape& shape) {
  const std::vector<float> values(static_cast<size_t>(shape[0]), static_cast<float>(value));
  return r.draft().parameter(at.layer.name + suffix, values, shape, Role::statistic);
}

// What is left of products and sums with constants is a convolution of one pixel, each channel by
// itself.
void become_depthwise(Rewriter& r, Layer& at) {
  const std::string& op = at.layer.op;
  if (at.shape.rank() != 4) return;
  const int64_t c = at.shape[1];
  const Shape weights = {c, 1, 1, 1};
  if (op == "?affine") {
    const std::string scale = same_for_all(r, at, ".scale", real(at, "scale"), weights);
    const double shift = real(at, "shift");
    std::vector<std::string> inputs = {input(at), scale};
    if (shift != 0) inputs.push_back(same_for_all(r, at, ".shift", shift, {c}));
    r.become(at, "conv2d", std::move(inputs), depthwise(c, shift != 0));
  } else if (op == "?channel_scale") {
    const std::string factors = input(at, 1);
    const std::string own = r.draft().changed_parameter(factors, r.draft().values.at(factors),
                                                        weights, r.is_shared(factors));
    r.become(at, "conv2d", {input(at), own}, depthwise(c, false));
  } else if (op == "?channel_shift") {
    const std::string ones = same_for_all(r, at, ".scale", 1, weights);
    r.become(at, "conv2d", {input(at), ones, input(at, 1)}, depthwise(c, true));
  }
}

std::string reason(const std::string& op) {
  if (op == "?transpose") return "moves the axes of images about";
  if (op == "?clip") return "clips to other bounds than 0 and 6";
  if (op == "?erf") return "stands outside of a GELU";
  if (op == "?instance_norm") return "stands outside of a group normalisation";
  return "computes with constants on other than images (N, C, H, W)";
}

std::string help(const std::string& op) {
  if (op == "?transpose") return "of these, channel shuffles and flattened (N, H, W, C) are known";
  if (op == "?clip") return "use ReLU, ReLU6, hard sigmoid or hard swish";
  return "";
}

// Slices of one tensor that are all of it, as PyTorch writes chunks: one split, in the place of the
// first, whose gradient is made at once.
void join_slices(Draft& draft) {
  struct Part {
    size_t layer;
    int64_t begin, end;
  };
  std::map<std::pair<std::string, int64_t>, std::vector<Part>> parts;  // by tensor and axis
  for (size_t i = 0; i < draft.layers.size(); ++i) {
    const NetworkLayer& l = draft.layers[i].layer;
    if (l.op != "slice") continue;
    parts[{l.inputs[0], l.attributes.integer("axis")}].push_back(
        {i, l.attributes.integer("begin"), l.attributes.integer("end")});
  }
  std::vector<bool> gone(draft.layers.size());
  for (auto& [where, slices] : parts) {
    const size_t first = slices[0].layer;
    std::sort(slices.begin(), slices.end(), [](Part a, Part b) { return a.begin < b.begin; });
    int64_t reached = 0;
    std::vector<std::string> outputs;
    Sizes sizes;
    for (const Part& p : slices) {
      if (p.begin != reached) break;
      reached = p.end;
      sizes.push_back(p.end - p.begin);
      outputs.push_back(draft.layers[p.layer].layer.outputs[0]);
    }
    const auto axis = static_cast<int>(where.second);
    const bool whole = reached == draft.shape(where.first)[axis] && sizes.size() == slices.size();
    if (!whole || sizes.size() < 2) continue;
    for (const Part& p : slices) gone[p.layer] = p.layer != first;
    draft.layers[first].layer = {"split",
                                 draft.layers[first].layer.name,
                                 {where.first},
                                 outputs,
                                 {{"axis", where.second}, {"sizes", sizes}}};
  }
  std::vector<Layer> kept;
  for (size_t i = 0; i < gone.size(); ++i) {
    if (!gone[i]) kept.push_back(std::move(draft.layers[i]));
  }
  draft.layers = std::move(kept);
}

}  // namespace

void simplify(Draft& draft) {
  Rewriter joins(draft);
  while (Layer* at = joins.next()) {
    const std::string op = at->layer.op;
    if (op == "?affine") join_affine(joins, *at);
    if (op == "?clip") join_clip(joins, *at);
    if (op == "mul") join_mul(joins, *at);
    if (op == "reshape" || op == "flatten") join_shuffle(joins, *at);
    if (op == "linear") join_flatten(joins, *at);
    if (op == "?channel_shift") join_group_norm(joins, *at);
    if (at->layer.op == "?channel_shift") join_shift(joins, *at);
  }
  joins.remove_what_is_gone();
  // A scale that is left may still have a bias behind it.
  Rewriter rest(draft);
  while (Layer* at = rest.next()) {
    if (at->layer.op == "?channel_shift") join_shift(rest, *at);
    become_depthwise(rest, *at);
  }
  rest.remove_what_is_gone();
  join_slices(draft);
  for (const Layer& at : draft.layers) {
    if (!at.layer.op.starts_with('?')) continue;
    draft.refusals.push_back({at.layer.name, at.onnx_op, reason(at.layer.op), help(at.layer.op)});
  }
}

}  // namespace thimble
