#include "transforms/core/signal_power.h"

#include "ops/core/op.h"

namespace thimble {

std::vector<double> expected_powers(const Graph& graph) {
  std::vector<double> powers(graph.tensors.size(), 1);
  const auto power_of = [&](TensorId t) {
    return t == kNoTensor ? 1 : powers[static_cast<size_t>(t)];
  };
  std::vector<double> in;
  for (const Node& node : graph.nodes) {
    if (node.phase != Phase::forward) continue;
    in.clear();
    for (TensorId t : node.inputs) in.push_back(power_of(t));
    const OpDef& op = find_op(node.op);
    const double power = op.power ? op.power(graph, node, in) : in.empty() ? 1 : in[0];
    for (TensorId t : node.outputs) {
      if (t != kNoTensor) powers[static_cast<size_t>(t)] = power;
    }
  }
  return powers;
}

}  // namespace thimble
