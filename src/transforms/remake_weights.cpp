#include "transforms/remake_weights.h"

#include <algorithm>
#include <map>

#include "transforms/core/again.h"
#include "transforms/core/technique.h"

namespace thimble {
namespace {

// Reads weights and makes one tensor of them, the same each time.
bool is_of_weights(const Graph& graph, const Node& node) {
  const auto is_weight = [&](TensorId t) {
    return t != kNoTensor && graph.tensor(t).role == Role::weight;
  };
  return node.phase == Phase::forward && node.updates.empty() && node.outputs.size() == 1 &&
         node.region == 0 && !node.inputs.empty() &&
         std::all_of(node.inputs.begin(), node.inputs.end(), is_weight) &&
         graph.tensor(node.outputs[0]).role == Role::activation;
}

}  // namespace

Graph remake_weights(const Graph& training) {
  Graph graph = training;
  std::map<TensorId, const Node*> made;  // by output; its maker, until it is made again
  std::map<TensorId, TensorId> again;
  graph.nodes.clear();
  for (const Node& from : training.nodes) {
    Node node = from;
    for (TensorId& t : node.inputs) {
      if (node.phase != Phase::backward) break;
      if (const auto it = made.find(t); it != made.end()) {
        Tensor tensor = graph.tensor(t);
        tensor.name += kAgain;
        Node copy = *it->second;
        copy.phase = Phase::backward;
        copy.outputs = {again[t] = graph.add_tensor(std::move(tensor))};
        graph.nodes.push_back(std::move(copy));
        made.erase(it);
      }
      if (const auto it = again.find(t); it != again.end()) t = it->second;
    }
    if (is_of_weights(training, from)) made[from.outputs[0]] = &from;
    graph.nodes.push_back(std::move(node));
  }
  verify(graph);
  return graph;
}

const Technique& technique_remake_weights() {
  static const Technique technique = {
      .name = "remake_weights",
      .summary = "What is made of weights alone is made again for the backward pass",
      .paper = "",
      .stage = Technique::Stage::last,
      .promise = [](const Graph&) { return Promise::bit_exact; },
      .free = true,
      .apply =
          [](const Graph& graph, int64_t) {
            return Rewrite{remake_weights(graph), ""};
          }};
  return technique;
}

}  // namespace thimble
