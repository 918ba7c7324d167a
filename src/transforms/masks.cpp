#include "transforms/masks.h"

#include <algorithm>

#include "ops/core/builder.h"
#include "transforms/core/technique.h"

namespace thimble {
namespace {

// Nodes that have a backward one: something trained lies at or before them.
std::vector<bool> have_gradients(const Graph& graph) {
  std::vector<bool> trained(graph.tensors.size()), has;
  for (size_t t = 0; t < trained.size(); ++t) trained[t] = graph.tensors[t].trainable;
  for (const Node& node : graph.nodes) {
    has.push_back(std::any_of(node.inputs.begin(), node.inputs.end(), [&](TensorId t) {
      return t != kNoTensor && trained[static_cast<size_t>(t)];
    }));
    for (TensorId t : node.outputs) {
      if (has.back() && t != kNoTensor) trained[static_cast<size_t>(t)] = true;
    }
  }
  return has;
}

// A norm with given statistics and a scale that is not trained: backward does not read src.
bool is_fixed(const Graph& graph, const Node& node) {
  return node.attributes.has("training") && node.attributes.integer("training") == 0 &&
         !graph.tensor(node.inputs[2]).trainable;
}

}  // namespace

Graph use_masks(const Graph& forward) {
  Graph graph = forward;
  const std::vector<bool> has_gradient = have_gradients(graph);
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    Node& node = graph.nodes[n];
    if (!node.attributes.has("mask") || !has_gradient[n]) continue;
    node.attributes.set("mask", int64_t{is_fixed(graph, node) ? 2 : 1});
    const OpDef& def = find_op(node.op);
    const std::vector<TensorSpec> specs = def.infer(shapes_of(graph, node));
    node.outputs.resize(specs.size(), kNoTensor);
    for (size_t i = 0; i < specs.size(); ++i) {
      if (specs[i].shape.rank() == 0 || node.outputs[i] != kNoTensor) continue;
      Tensor t;
      t.name = str_cat(node.name, ".", def.outputs[i].name);
      t.shape = specs[i].shape;
      t.type = specs[i].type.value_or(type_of_inputs(graph, node));
      node.outputs[i] = graph.add_tensor(std::move(t));
    }
  }
  verify(graph);
  return graph;
}

const Technique& technique_masks() {
  static const Technique technique = {
      .name = "masks",
      .summary = "One bit for each element of what an activation let through, not its output",
      .paper = "In-Place ABN, arXiv 1712.02616",
      .stage = Technique::Stage::forward,
      .promise = [](const Graph&) { return Promise::bit_exact; },
      .free = true,
      .apply =
          [](const Graph& forward, int64_t) {
            return Rewrite{use_masks(forward), ""};
          }};
  return technique;
}

}  // namespace thimble
