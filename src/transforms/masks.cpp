#include "transforms/masks.h"

#include <algorithm>

#include "ops/core/builder.h"
#include "ops/core/gradient.h"
#include "transforms/core/technique.h"

namespace thimble {
namespace {

size_t at(TensorId t) { return static_cast<size_t>(t); }

bool needs_gradient(const Node& node, const std::vector<bool>& has_gradient) {
  return std::any_of(node.inputs.begin(), node.inputs.end(),
                     [&](TensorId t) { return t != kNoTensor && has_gradient[at(t)]; });
}

// Tensors that backward computes a gradient of: something trained lies at or before them.
std::vector<bool> have_gradients(const Graph& graph) {
  std::vector<bool> has(graph.tensors.size());
  for (size_t t = 0; t < has.size(); ++t) has[t] = graph.tensors[t].trainable;
  for (const Node& node : graph.nodes) {
    const bool needs = needs_gradient(node, has);
    for (TensorId t : node.outputs) {
      if (needs && t != kNoTensor) has[at(t)] = true;
    }
  }
  return has;
}

// A norm with given statistics and a scale that is not trained: backward does not read src.
bool is_fixed(const Graph& graph, const Node& node) {
  return node.attributes.has("training") && node.attributes.integer("training") == 0 &&
         !graph.tensor(node.inputs[2]).trainable;
}

// Those that the node makes beside the ones that it has.
void add_outputs(Graph& graph, Node& node) {
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

// What the gradient of `node` reads of its tensors.
std::vector<TensorId> read_by_gradient(const Graph& graph, const Node& node,
                                       const std::vector<bool>& has_gradient,
                                       const std::vector<bool>& is_read) {
  // Alone: its tensors, and a gradient for each output that somebody reads; the loss needs none.
  Graph alone;
  Node copy = node;
  std::vector<TensorId> original;
  for (auto* ids : {&copy.inputs, &copy.outputs}) {
    for (TensorId& t : *ids) {
      if (t == kNoTensor) continue;
      original.push_back(t);
      t = alone.add_tensor(graph.tensor(t));
    }
  }
  std::vector<bool> wanted;
  for (TensorId t : node.inputs) wanted.push_back(t != kNoTensor && has_gradient[at(t)]);
  std::vector<std::vector<TensorId>> diffs;
  for (TensorId t : node.outputs) {
    diffs.emplace_back();
    if (t == kNoTensor || !is_read[at(t)] || !is_scalar(graph.tensor(t).type)) continue;
    Tensor diff = graph.tensor(t);
    diff.role = Role::difference;
    diffs.back().push_back(alone.add_tensor(diff));
  }
  GradientBuilder builder(alone, copy, std::move(diffs), std::move(wanted));
  find_op(node.op).gradient(builder);
  std::vector<TensorId> read;
  for (const Node& emitted : alone.nodes) {
    if (emitted.phase == Phase::forward) continue;  // what it makes is kept, not what it reads
    for (TensorId t : emitted.inputs) {
      if (t != kNoTensor && at(t) < original.size()) read.push_back(original[at(t)]);
    }
  }
  return read;
}

// Where weights, or channels of them, are frozen, what follows an activation does not keep it: then
// its sign is enough. (Where all are trained, the next convolution keeps it anyway, as a rule.)
void mask_activations(Graph& graph, const std::vector<bool>& has_gradient) {
  const bool frozen = std::any_of(graph.tensors.begin(), graph.tensors.end(), [](const Tensor& t) {
    return t.role == Role::weight && (!t.trainable || !t.trained_part.is_whole());
  });
  if (!frozen) return;
  std::vector<bool> is_read(graph.tensors.size()), kept(graph.tensors.size());
  for (const Node& node : graph.nodes) {
    for (TensorId t : node.inputs) {
      if (t != kNoTensor) is_read[at(t)] = true;
    }
  }
  for (const Node& node : graph.nodes) {
    const bool leads_on = std::any_of(node.outputs.begin(), node.outputs.end(), [&](TensorId t) {
      return t != kNoTensor && (is_read[at(t)] || graph.tensor(t).role == Role::metric);
    });
    if (!leads_on || !needs_gradient(node, has_gradient) || !find_op(node.op).gradient) continue;
    for (TensorId t : read_by_gradient(graph, node, has_gradient, is_read)) {
      if (t != node.outputs[0]) kept[at(t)] = true;
    }
  }
  for (Node& node : graph.nodes) {
    if (node.op != "relu" && node.op != "relu6") continue;
    const TensorId dst = node.outputs[0];
    if (!has_gradient[at(node.inputs[0])] || kept[at(dst)] || graph.tensor(dst).shape.rank() < 2) {
      continue;
    }
    node.attributes = {{"activation", node.op}};
    node.op = "masked_relu";
    add_outputs(graph, node);
  }
}

}  // namespace

Graph use_masks(const Graph& forward) {
  Graph graph = forward;
  const std::vector<bool> has_gradient = have_gradients(graph);
  for (Node& node : graph.nodes) {
    if (!node.attributes.has("mask") || !needs_gradient(node, has_gradient)) continue;
    node.attributes.set("mask", int64_t{is_fixed(graph, node) ? 2 : 1});
    add_outputs(graph, node);
  }
  mask_activations(graph, has_gradient);
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
