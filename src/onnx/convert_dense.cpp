#include <algorithm>
#include <cmath>

#include "onnx/convert.h"
#include "onnx/fold.h"

namespace thimble {
namespace {

// (I, O) as (O, I).
std::vector<float> transposed(const std::vector<float>& from, int64_t rows, int64_t columns) {
  std::vector<float> to(from.size());
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < columns; ++c) {
      to[static_cast<size_t>(c * rows + r)] = from[static_cast<size_t>(r * columns + c)];
    }
  }
  return to;
}

void scale(std::vector<float>& values, double factor) {
  if (factor == 1) return;
  for (float& v : values) v = static_cast<float>(static_cast<double>(v) * factor);
}

const std::string& name_of(const Constant& c, const std::string& tensor) {
  return c.origin.empty() ? tensor : c.origin;
}

// Weights (I, O), or (O, I) if `is_transposed`, as those of a linear layer.
std::string add_weights(Draft& draft, const NodeView& node, bool is_transposed, double factor,
                        Shape& shape) {
  const Constant* w = optional_constant(draft, node, 1);
  accept(w != nullptr, "has no weights");
  accept(w->shape.size() == 2 && !w->whole, "its weights have ", w->shape.size(),
         " dimensions, needed 2");
  std::vector<float> values =
      is_transposed ? w->reals : transposed(w->reals, w->shape[0], w->shape[1]);
  shape = is_transposed ? Shape{w->shape[0], w->shape[1]} : Shape{w->shape[1], w->shape[0]};
  scale(values, factor);
  accept(shape.elements() > 0, "its weights are ", shape);
  return draft.parameter(name_of(*w, node.input(1)), std::move(values), shape, Role::weight);
}

void convert_gemm(Draft& draft, const NodeView& node) {
  activation(draft, node, 0);
  accept(node.integer("transA", 0) == 0, "its attribute 'transA' is set");
  Shape shape;
  std::vector<std::string> inputs = {node.input(0)};
  inputs.push_back(
      add_weights(draft, node, node.integer("transB", 0) != 0, node.real("alpha", 1), shape));
  const double beta = node.real("beta", 1);
  const Constant* bias = beta != 0 ? optional_constant(draft, node, 2) : nullptr;
  if (bias != nullptr) {
    accept(!bias->whole && (bias->elements() == 1 || bias->elements() == shape[0]) &&
               (bias->shape.empty() || bias->shape.back() == bias->elements()),
           "its bias has ", bias->elements(), " values, needed ", shape[0]);
    std::vector<float> values = bias->reals;
    values.resize(static_cast<size_t>(shape[0]), values[0]);
    scale(values, beta);
    inputs.push_back(draft.parameter(name_of(*bias, node.input(2)), std::move(values), {shape[0]},
                                     Role::weight));
  }
  add_layer(draft, node, "linear", std::move(inputs),
            {{"out_features", shape[0]}, {"bias", int64_t{bias != nullptr}}});
}

void convert_mat_mul(Draft& draft, const NodeView& node) {
  accept(activation(draft, node, 0).rank() == 2, "multiplies an input ", draft.shape(node.input(0)),
         ", needed (N, features)");
  Shape shape;
  const std::string weights = add_weights(draft, node, false, 1, shape);
  add_layer(draft, node, "linear", {node.input(0), weights},
            {{"out_features", shape[0]}, {"bias", int64_t{0}}});
}

void convert_batch_norm(Draft& draft, const NodeView& node) {
  const Shape& src = activation(draft, node, 0);
  accept(node.integer("spatial", 1) == 1, "its attribute 'spatial' is 0");
  const Shape channels = {src.rank() > 1 ? src[1] : 0};
  std::vector<std::string> inputs = {node.input(0), ""};
  for (size_t i = 1; i < 5; ++i) {
    accept(optional_constant(draft, node, i) != nullptr, "has no input ", i);
    inputs.push_back(
        draft.parameter(node.input(i), channels, i < 3 ? Role::weight : Role::statistic));
  }
  // One minus a float is no round number: these are the decimals that the float had.
  const double kept = node.real("momentum", 0.9);
  const double momentum = static_cast<double>(std::llround((1 - kept) * 1e7)) / 1e7;
  accept(kept >= 0 && kept <= 1, "its attribute 'momentum' is ", kept);
  add_layer(draft, node, "batch_norm", std::move(inputs),
            {{"epsilon", node.real("epsilon", 1e-5)}, {"momentum", momentum}});
}

void convert_instance_norm(Draft& draft, const NodeView& node) {
  const Shape shape = activation(draft, node, 0);
  const Constant* scale = optional_constant(draft, node, 1);
  const Constant* shift = optional_constant(draft, node, 2);
  const auto all = [](const Constant* c, float value) {
    return c != nullptr && !c->whole &&
           std::all_of(c->reals.begin(), c->reals.end(), [&](float v) { return v == value; });
  };
  accept(all(scale, 1) && all(shift, 0),
         "has its own scale; of these, the ones in a group normalisation are known");
  draft.add_pseudo("?instance_norm", node.name(), node.op(), {node.input(0)}, node.output(0),
                   {{"epsilon", node.real("epsilon", 1e-5)}}, shape);
}

// The last layer of a file that was made to be served: training takes the loss of what is before.
void convert_softmax(Draft& draft, const NodeView& node) {
  const Shape& shape = activation(draft, node, 0);
  const int64_t axis = node.integer("axis", -1);
  if (node.output(0) != draft.output || shape.rank() != 2 || (axis != 1 && axis != -1)) {
    throw Refused("stands elsewhere than behind the logits, or over another axis",
                  "a softmax is known as the last node, where it is dropped");
  }
  draft.notes.push_back(
      str_cat(node.name(), " (", node.op(), ") was dropped: the output is what it is given"));
  draft.alias(node.output(0), node.input(0));
}

}  // namespace

void add_dense_converters(Converters& table) {
  table["Gemm"] = convert_gemm;
  table["MatMul"] = convert_mat_mul;
  table["BatchNormalization"] = convert_batch_norm;
  table["InstanceNormalization"] = convert_instance_norm;
  table["Softmax"] = convert_softmax;
  table["LogSoftmax"] = convert_softmax;
}

}  // namespace thimble
