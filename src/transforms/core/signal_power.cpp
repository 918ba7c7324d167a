#include "transforms/core/signal_power.h"

#include "ops/core/op.h"

namespace thimble {
namespace {

double variance_of(const Init& init) {
  switch (init.kind) {
    case Init::Kind::normal:
      return init.value * init.value;
    case Init::Kind::uniform:
      return init.value * init.value / 3;
    default:
      return 0;
  }
}

// Of a signal as often above as below zero.
double passed_by(const Attributes& a) {
  const std::string& activation = a.text("activation");
  if (activation == "none") return 1;
  const double slope = activation == "leaky_relu" ? a.real("slope") : 0;
  return (1 + slope * slope) / 2;
}

double power_behind(const Graph& graph, const Node& node, const std::vector<double>& powers) {
  const auto power = [&](size_t i) { return powers[static_cast<size_t>(node.inputs[i])]; };
  if (node.op == "conv2d" || node.op == "linear") {
    const Tensor& weights = graph.tensor(node.inputs[1]);
    const int64_t fan_in = weights.shape.elements() / weights.shape[0];
    return power(0) * variance_of(weights.init) * static_cast<double>(fan_in);
  }
  if (node.op == "batch_norm" || node.op == "group_norm") {
    const double scale = 1 + (node.op == "batch_norm" ? node.attributes.real("scale_floor") : 0);
    const bool adds = node.inputs[1] != kNoTensor;
    // Frozen statistics begin as mean 0 and variance 1.
    const bool frozen = node.op == "batch_norm" && node.attributes.integer("training") == 0;
    const double normalised = frozen ? power(0) : 1;
    return (scale * scale * normalised + (adds ? power(1) : 0)) * passed_by(node.attributes);
  }
  if (node.op == "add" || node.op == "fixed_point_add") return power(0) + power(1);
  if (node.op == "leaky_relu") {
    const double slope = node.attributes.real("alpha");
    return power(0) * (1 + slope * slope) / 2;
  }
  return node.inputs.empty() || node.inputs[0] == kNoTensor ? 1 : power(0);
}

}  // namespace

std::vector<double> expected_powers(const Graph& graph) {
  std::vector<double> powers(graph.tensors.size(), 1);
  for (const Node& node : graph.nodes) {
    if (node.phase != Phase::forward) continue;
    const double power = power_behind(graph, node, powers);
    for (TensorId t : node.outputs) {
      if (t != kNoTensor) powers[static_cast<size_t>(t)] = power;
    }
  }
  return powers;
}

}  // namespace thimble
