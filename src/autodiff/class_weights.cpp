#include "autodiff/class_weights.h"

#include "base/error.h"

namespace thimble {
namespace {

constexpr size_t kWeightsInput = 2;

Node& loss_of(Graph& forward) {
  for (Node& node : forward.nodes) {
    if (node.op == "softmax_cross_entropy") return node;
  }
  throw InternalError(str_cat("internal error: ", forward.name, " has no loss"));
}

}  // namespace

Graph with_class_weights(Graph forward) {
  const int64_t classes = forward.tensor(loss_of(forward).inputs[0]).shape[1];
  const TensorId weights =
      forward.add_tensor({kClassWeights, {classes}, ElementType::f32, Role::data, {}, false});
  Node& loss = loss_of(forward);
  loss.inputs.resize(kWeightsInput);
  loss.inputs.push_back(weights);
  return forward;
}

Graph without_class_weights(Graph forward) {
  if (forward.find(kClassWeights) != kNoTensor) loss_of(forward).inputs.resize(kWeightsInput);
  return forward;
}

}  // namespace thimble
