#include "transforms/core/again.h"

#include <algorithm>

namespace thimble {

bool is_cheap(const Graph& graph, const Node& node) {
  int64_t elements = 0;
  for (TensorId t : node.outputs) {
    if (t != kNoTensor) elements += graph.tensor(t).shape.elements();
  }
  return flops_of(graph, node) <= kCheapFlopsPerElement * elements;
}

Node run_again(const Node& node) {
  const OpDef& def = find_op(node.op);
  Node again = def.replay ? def.replay(node) : node;
  again.updates.clear();
  again.phase = Phase::backward;
  return again;
}

bool rebuilds(const Graph& graph, const Node& node) {
  return node.phase == Phase::backward &&
         std::any_of(node.outputs.begin(), node.outputs.end(), [&](TensorId t) {
           return t != kNoTensor && graph.tensor(t).name.find(kRebuilt) != std::string::npos;
         });
}

}  // namespace thimble
