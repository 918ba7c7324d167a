#include <algorithm>
#include <cmath>
#include <limits>

#include "onnx/convert.h"

namespace thimble {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// The values of a constant that has one for each channel of `shape`; empty: it has not.
std::vector<float> per_channel(const Constant& c, const Shape& shape) {
  if (shape.rank() < 2 || c.whole || c.elements() != shape[1]) return {};
  if (c.shape.size() > static_cast<size_t>(shape.rank())) return {};
  const size_t behind = static_cast<size_t>(shape.rank()) - 2;  // axes after the channels
  if (c.shape.size() <= behind || c.shape[c.shape.size() - 1 - behind] != shape[1]) return {};
  return c.reals;
}

// x * scale + shift with one number each.
void add_affine(Draft& draft, const NodeView& node, size_t x, double scale, double shift) {
  accept(std::isfinite(scale) && std::isfinite(shift), "computes with ", scale, " and ", shift);
  if (scale == 1 && shift == 0) {
    draft.alias(node.output(0), node.input(x));
    return;
  }
  draft.add_pseudo("?affine", node.name(), node.op(), {node.input(x)}, node.output(0),
                   {{"scale", scale}, {"shift", shift}}, draft.shape(node.input(x)));
}

void with_constant(Draft& draft, const NodeView& node, size_t x) {
  const Shape& shape = activation(draft, node, x);
  const Constant& c = *optional_constant(draft, node, 1 - x);
  const std::string op = node.op() == "Sum" ? "Add" : node.op();
  const bool reversed = x == 1;  // constant - x, constant / x
  accept(op != "Div" || !reversed, "divides by what is computed from the images");
  if (c.elements() == 1 && static_cast<int>(c.shape.size()) <= shape.rank()) {
    const double v = scalar_of(c);
    if (op == "Add") return add_affine(draft, node, x, 1, v);
    if (op == "Sub") return add_affine(draft, node, x, reversed ? -1 : 1, reversed ? v : -v);
    return add_affine(draft, node, x, op == "Mul" ? v : 1 / v, 0);
  }
  std::vector<float> values = per_channel(c, shape);
  accept(!values.empty() && !(op == "Sub" && reversed),
         "computes with a constant that has neither one value nor one for each of the channels of ",
         shape);
  if (op == "Sub") std::transform(values.begin(), values.end(), values.begin(), std::negate<>());
  if (op == "Div") {
    std::transform(values.begin(), values.end(), values.begin(), [](float v) { return 1 / v; });
  }
  const bool same = op == "Add" || op == "Mul";
  const std::string& tensor = node.input(1 - x);
  const std::string name = same ? (c.origin.empty() ? tensor : c.origin) : tensor + ".inverse";
  const std::string parameter = draft.parameter(name, std::move(values), {shape[1]}, Role::weight);
  const bool adds = op == "Add" || op == "Sub";
  draft.add_pseudo(adds ? "?channel_shift" : "?channel_scale", node.name(), node.op(),
                   {node.input(x), parameter}, node.output(0), {}, shape);
}

bool spreads_over(const Shape& small, const Shape& large) {
  return small.rank() == 4 && large.rank() == 4 && small[1] == large[1] && small[2] == 1 &&
         small[3] == 1;
}

void convert_binary(Draft& draft, const NodeView& node) {
  accept(node.input_count() == 2, "has ", node.input_count(), " inputs, needed 2");
  for (size_t x = 0; x < 2; ++x) {
    if (draft.constant(node.input(1 - x)) != nullptr) return with_constant(draft, node, x);
  }
  const Shape& a = activation(draft, node, 0);
  const Shape& b = activation(draft, node, 1);
  const std::string op = node.op() == "Mul" ? "mul" : "add";
  accept(node.op() == "Add" || node.op() == "Sum" || node.op() == "Mul",
         "takes two computed inputs; of two, sums and products are known");
  if (a == b) return add_layer(draft, node, op, {node.input(0), node.input(1)});
  if (op == "mul" && spreads_over(b, a)) {
    return add_layer(draft, node, op, {node.input(0), node.input(1)});
  }
  if (op == "mul" && spreads_over(a, b)) {
    return add_layer(draft, node, op, {node.input(1), node.input(0)});
  }
  throw Refused(str_cat("takes inputs ", a, " and ", b, " of different shapes"),
                "one value for each channel, (N, C, 1, 1), may be multiplied with (N, C, H, W)");
}

void convert_sum(Draft& draft, const NodeView& node) {
  if (node.input_count() != 1) return convert_binary(draft, node);
  activation(draft, node, 0);
  draft.alias(node.output(0), node.input(0));
}

template <const char* op>
void convert_activation(Draft& draft, const NodeView& node) {
  activation(draft, node, 0);
  add_layer(draft, node, op, {node.input(0)});
}

template <const char* op>
void convert_with_alpha(Draft& draft, const NodeView& node) {
  activation(draft, node, 0);
  const double initial = node.op() == "Elu" ? 1.0 : 0.01;
  add_layer(draft, node, op, {node.input(0)}, {{"alpha", node.real("alpha", initial)}});
}

void convert_hard_sigmoid(Draft& draft, const NodeView& node) {
  activation(draft, node, 0);
  add_layer(draft, node, "hard_sigmoid", {node.input(0)},
            {{"alpha", node.real("alpha", 0.2)}, {"beta", node.real("beta", 0.5)}});
}

void convert_clip(Draft& draft, const NodeView& node) {
  const Shape shape = activation(draft, node, 0);
  const auto bound = [&](size_t i, const char* name, double initial) {
    const Constant* c = optional_constant(draft, node, i);
    if (c != nullptr) return scalar_of(*c);
    // Of files from before opset 11; largest floats stand for none.
    const auto* a = node.find(name);
    if (a == nullptr || std::abs(a->f()) >= 3.4e38F) return initial;
    return static_cast<double>(a->f());
  };
  const double low = bound(1, "min", -kInfinity);
  const double high = bound(2, "max", kInfinity);
  draft.add_pseudo("?clip", node.name(), node.op(), {node.input(0)}, node.output(0),
                   {{"min", low}, {"max", high}}, shape);
}

void convert_erf(Draft& draft, const NodeView& node) {
  const Shape shape = activation(draft, node, 0);
  draft.add_pseudo("?erf", node.name(), node.op(), {node.input(0)}, node.output(0), {}, shape);
}

constexpr char kRelu[] = "relu";
constexpr char kHardSwish[] = "hard_swish";
constexpr char kSigmoid[] = "sigmoid";
constexpr char kTanh[] = "tanh";
constexpr char kLeakyRelu[] = "leaky_relu";
constexpr char kElu[] = "elu";

}  // namespace

void add_arithmetic_converters(Converters& table) {
  for (const char* op : {"Add", "Sub", "Mul", "Div"}) table[op] = convert_binary;
  table["Sum"] = convert_sum;
  table["Relu"] = convert_activation<kRelu>;
  table["HardSwish"] = convert_activation<kHardSwish>;
  table["Sigmoid"] = convert_activation<kSigmoid>;
  table["Tanh"] = convert_activation<kTanh>;
  table["LeakyRelu"] = convert_with_alpha<kLeakyRelu>;
  table["Elu"] = convert_with_alpha<kElu>;
  table["HardSigmoid"] = convert_hard_sigmoid;
  table["Clip"] = convert_clip;
  table["Erf"] = convert_erf;
}

}  // namespace thimble
