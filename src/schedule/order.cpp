#include "schedule/order.h"

#include <algorithm>

namespace thimble {
namespace {

bool reads(const Node& node, TensorId tensor) {
  return std::find(node.inputs.begin(), node.inputs.end(), tensor) != node.inputs.end();
}

// A weight gradient and an input gradient of one layer stand next to each other: neither reads
// what the other makes.
bool independent(const Node& a, const Node& b) {
  return std::none_of(a.outputs.begin(), a.outputs.end(),
                      [&](TensorId t) { return t != kNoTensor && reads(b, t); });
}

void swap_gradients(Graph& graph) {
  for (size_t i = 0; i + 1 < graph.nodes.size(); ++i) {
    Node& first = graph.nodes[i];
    Node& second = graph.nodes[i + 1];
    const bool pair = first.phase == Phase::backward && second.phase == Phase::backward &&
                      first.name == second.name && first.op.ends_with("_backward_weights") &&
                      second.op.ends_with("_backward_data");
    if (pair && independent(first, second)) std::swap(first, second);
  }
}

// Moves each update up to just behind the last node that it must follow.
void hoist_updates(Graph& graph) {
  std::vector<std::vector<Node>> after(graph.nodes.size());
  std::vector<Node> rest;
  for (const Node& node : graph.nodes) {
    if (node.phase != Phase::update) rest.push_back(node);
  }
  for (const Node& update : graph.nodes) {
    if (update.phase != Phase::update) continue;
    size_t last = 0;
    for (size_t i = 0; i < rest.size(); ++i) {
      const bool makes = std::any_of(rest[i].outputs.begin(), rest[i].outputs.end(),
                                     [&](TensorId t) { return t != kNoTensor && reads(update, t); });
      const bool needs = std::any_of(update.updates.begin(), update.updates.end(),
                                     [&](TensorId t) { return reads(rest[i], t); });
      if (makes || needs) last = i;
    }
    after[last].push_back(update);
  }
  graph.nodes.clear();
  for (size_t i = 0; i < rest.size(); ++i) {
    graph.nodes.push_back(rest[i]);
    graph.nodes.insert(graph.nodes.end(), after[i].begin(), after[i].end());
  }
}

}  // namespace

const char* name_of(Order order) {
  switch (order) {
    case Order::as_written: return "as_written";
    case Order::early_update: return "early_update";
    case Order::data_first: return "data_first";
  }
  return "?";
}

std::vector<Order> all_orders() {
  return {Order::as_written, Order::early_update, Order::data_first};
}

Graph reordered(const Graph& graph, Order order) {
  Graph result = graph;
  if (order == Order::data_first) swap_gradients(result);
  if (order != Order::as_written) hoist_updates(result);
  verify(result);
  return result;
}

}  // namespace thimble
