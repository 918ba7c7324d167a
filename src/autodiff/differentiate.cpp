#include "autodiff/differentiate.h"

#include <algorithm>
#include <iterator>

#include "autodiff/class_weights.h"
#include "ops/core/as_evaluated.h"
#include "ops/core/builder.h"
#include "ops/core/gradient.h"

namespace thimble {
namespace {

size_t at(TensorId t) { return static_cast<size_t>(t); }

// A tensor needs a gradient when a wanted tensor lies on the way to it.
std::vector<bool> needs_gradient(const Graph& graph, const std::vector<TensorId>& wanted) {
  std::vector<bool> needs(graph.tensors.size());
  for (size_t t = 0; t < graph.tensors.size(); ++t) needs[t] = graph.tensors[t].trainable;
  for (TensorId t : wanted) needs[at(t)] = true;
  for (const Node& node : graph.nodes) {
    bool any = false;
    for (TensorId t : node.inputs) any = any || (t != kNoTensor && needs[at(t)]);
    for (TensorId t : node.outputs) {
      if (any && t != kNoTensor && is_scalar(graph.tensor(t).type)) needs[at(t)] = true;
    }
  }
  return needs;
}

// Forward nodes that gradients asked for go in front of the node that they belong to.
void place_forward_nodes(Graph& graph, size_t forward_count) {
  std::vector<std::vector<Node>> in_front(forward_count);
  std::vector<Node> nodes, backward;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    Node& node = graph.nodes[i];
    if (i < forward_count) continue;
    if (node.phase != Phase::forward) {
      backward.push_back(std::move(node));
      continue;
    }
    const Node& reader = graph.nodes[at(node.gradient_of)];
    node.region = reader.region;
    node.band = reader.band;
    std::vector<Node>& before = in_front[at(node.gradient_of)];
    node.gradient_of = -1;
    before.push_back(std::move(node));
  }
  std::vector<int32_t> place(forward_count);
  for (size_t n = 0; n < forward_count; ++n) {
    std::move(in_front[n].begin(), in_front[n].end(), std::back_inserter(nodes));
    place[n] = static_cast<int32_t>(nodes.size());
    nodes.push_back(std::move(graph.nodes[n]));
  }
  for (Node& node : backward) {
    node.gradient_of = place[at(node.gradient_of)];
    nodes.push_back(std::move(node));
  }
  graph.nodes = std::move(nodes);
}

}  // namespace

Differentiated differentiate(const Graph& forward, const std::vector<TensorId>& outputs,
                             const std::vector<TensorId>& seeds,
                             const std::vector<TensorId>& wanted) {
  Graph graph = forward;
  const std::vector<bool> needs = needs_gradient(forward, wanted);
  std::vector<std::vector<TensorId>> parts(forward.tensors.size());
  std::vector<bool> reached(forward.tensors.size());  // the result depends on it
  for (size_t k = 0; k < outputs.size(); ++k) {
    reached[at(outputs[k])] = true;
    if (seeds[k] != kNoTensor) parts[at(outputs[k])].push_back(seeds[k]);
  }
  for (size_t n = forward.nodes.size(); n-- > 0;) {
    const Node& node = forward.nodes[n];
    std::vector<std::vector<TensorId>> diff_outputs;
    bool used = false;
    for (TensorId t : node.outputs) {
      diff_outputs.push_back(t == kNoTensor ? std::vector<TensorId>{} : parts[at(t)]);
      used = used || (t != kNoTensor && reached[at(t)]);
    }
    std::vector<bool> wanted_inputs;
    bool any = false;
    for (TensorId t : node.inputs) {
      wanted_inputs.push_back(t != kNoTensor && needs[at(t)]);
      any = any || wanted_inputs.back();
    }
    if (!used || !any) continue;
    const OpDef& def = find_op(node.op);
    require(def.gradient != nullptr, node.op, " (layer ", node.name, ") has no gradient");
    std::vector<std::vector<TensorId>*> sent;
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      sent.push_back(wanted_inputs[i] ? &parts[at(node.inputs[i])] : nullptr);
    }
    GradientBuilder builder(graph, node, std::move(diff_outputs), wanted_inputs, std::move(sent));
    const size_t first = graph.nodes.size();
    def.gradient(builder);
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const TensorId diff = builder.diff_inputs()[i];
      if (!wanted_inputs[i] || diff == kNoTensor) continue;
      std::vector<TensorId>& so_far = parts[at(node.inputs[i])];
      reached[at(node.inputs[i])] = true;
      so_far.push_back(diff);
      // Several nodes may read a weight: there is one running sum, never a gradient for each.
      if (graph.tensor(node.inputs[i]).role != Role::weight || so_far.size() < 2) continue;
      const std::string& name = graph.tensor(node.inputs[i]).name;
      so_far = append_node(graph, Phase::backward, "add", name, {so_far[0], so_far[1]});
    }
    for (size_t i = first; i < graph.nodes.size(); ++i) {
      graph.nodes[i].gradient_of = static_cast<int32_t>(n);
    }
  }
  place_forward_nodes(graph, forward.nodes.size());
  Differentiated result{std::move(graph), std::vector<TensorId>(forward.tensors.size(), kNoTensor)};
  for (size_t t = 0; t < forward.tensors.size(); ++t) {
    const bool asked = forward.tensors[t].trainable ||
                       std::count(wanted.begin(), wanted.end(), static_cast<TensorId>(t)) > 0;
    if (!asked || parts[t].empty()) continue;
    // Of wanted activations.
    while (parts[t].size() > 1) {
      const TensorId sum = append_node(result.graph, Phase::backward, "add",
                                       forward.tensors[t].name, {parts[t][0], parts[t][1]})[0];
      parts[t].erase(parts[t].begin());
      parts[t][0] = sum;
    }
    result.diffs[t] = parts[t][0];
    Tensor& diff = result.graph.tensor(parts[t][0]);
    if (forward.tensors[t].role == Role::weight && diff.role == Role::difference) {
      diff.role = Role::gradient;
    }
  }
  verify(result.graph);
  return result;
}

Differentiated differentiate(const Graph& forward, TensorId loss) {
  return differentiate(forward, {loss}, {kNoTensor}, {});
}

Graph add_optimizer(Differentiated differentiated, const OptimizerSpec& optimizer) {
  Graph graph = std::move(differentiated.graph);
  const OpDef& def = find_op(optimizer.op);
  require(def.updates && !def.gradient, "'", optimizer.op, "' is not an optimizer");
  const TensorId lr = graph.add_tensor({"lr", {1}, ElementType::f32, Role::data, {}, false});
  TensorId counter = graph.find("counter");
  if (counter == kNoTensor) {
    counter = graph.add_tensor({"counter", {4}, ElementType::i32, Role::data, {}, false});
  }
  Attributes full;
  for (const AttributeSpec& spec : def.attributes) full.set(spec.name, spec.initial);
  for (const auto& [name, value] : optimizer.attributes) full.set(name, value);
  for (size_t t = 0; t < differentiated.diffs.size(); ++t) {
    const auto weight = static_cast<TensorId>(t);
    const TensorId diff = differentiated.diffs[t];
    if (diff == kNoTensor || !graph.tensor(weight).trainable) continue;
    const Tensor trained = graph.tensor(weight);
    const bool whole = trained.trained_part.is_whole();
    const Attributes part = whole ? Attributes{} : attributes_of(trained.trained_part);
    const std::string& name = trained.name;
    const Shape shape = trained_shape(trained);
    const TensorId updated =
        whole ? weight
              : append_node(graph, Phase::update, "read_channels", name, {weight}, part)[0];
    std::vector<TensorId> inputs = {updated, diff, lr, counter};
    for (const Parameter& p : def.parameters({full, {shape, shape, {1}, {4}}})) {
      inputs.resize(std::max(inputs.size(), p.input + 1), kNoTensor);
      inputs[p.input] = graph.add_tensor({str_cat("optimizer.", p.suffix, ".", name), p.shape,
                                          ElementType::f32, p.role, p.init, false});
    }
    append_node(graph, Phase::update, optimizer.op, name, inputs, optimizer.attributes);
    if (!whole) append_node(graph, Phase::update, "write_channels", name, {updated, weight}, part);
  }
  verify(graph);
  return graph;
}

Graph inference_graph(const Graph& forward) {
  Graph graph = without_class_weights(forward);
  for (Node& node : graph.nodes) as_evaluated(graph, node);
  verify(graph);
  return graph;
}

}  // namespace thimble
