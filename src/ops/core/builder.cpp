#include "ops/core/builder.h"

#include <algorithm>

namespace thimble {
namespace {

Attributes with_defaults(const OpDef& def, const Attributes& given) {
  Attributes all;
  for (const AttributeSpec& spec : def.attributes) all.set(spec.name, spec.initial);
  for (const auto& [name, value] : given) {
    require(all.has(name), def.name, " has no attribute '", name, "'");
    require(all.at(name).index() == value.index(), def.name, ": attribute '", name,
            "' has the wrong type");
    all.set(name, value);
  }
  return all;
}

// The same attributes, sharing the entries of an earlier node where one has them.
Attributes shared_with(const Graph& graph, Attributes attributes) {
  const auto twin = std::find_if(graph.nodes.rbegin(), graph.nodes.rend(),
                                 [&](const Node& n) { return n.attributes == attributes; });
  return twin == graph.nodes.rend() ? attributes : twin->attributes;
}

void check_inputs(const OpDef& def, const std::string& name, const std::vector<TensorId>& inputs) {
  const bool any_number = !def.inputs.empty() && def.inputs.back().name == "...";
  require(any_number || inputs.size() <= def.inputs.size(), def.name, " ", name, " takes ",
          def.inputs.size(), " inputs, got ", inputs.size());
  for (size_t i = 0; i < def.inputs.size(); ++i) {
    const bool given = i < inputs.size() && inputs[i] != kNoTensor;
    require(given || def.inputs[i].optional || def.inputs[i].name == "...", def.name, " ", name,
            " needs its input '", def.inputs[i].name, "'");
  }
}

Role output_role(Phase phase) {
  return phase == Phase::forward ? Role::activation : Role::difference;
}

}  // namespace

std::vector<TensorId> append_node(Graph& graph, Phase phase, const std::string& op,
                                  const std::string& name, std::vector<TensorId> inputs,
                                  const Attributes& attributes,
                                  const std::vector<bool>& wanted_outputs) {
  const OpDef& def = find_op(op);
  Node node{op,   name, std::move(inputs),
            {},   {},   shared_with(graph, with_defaults(def, attributes)),
            phase};
  check_inputs(def, name, node.inputs);
  const OpShapes shapes = shapes_of(graph, node);
  const std::vector<TensorSpec> specs = def.infer(shapes);
  for (size_t i = 0; i < specs.size(); ++i) {
    const bool wanted = i >= wanted_outputs.size() || wanted_outputs[i];
    if (specs[i].shape.rank() == 0 || !wanted) {
      node.outputs.push_back(kNoTensor);
      continue;
    }
    Tensor tensor;
    tensor.name = i == 0 && phase == Phase::forward
                      ? name
                      : str_cat(name, ".", i < def.outputs.size() ? def.outputs[i].name : "out");
    tensor.shape = specs[i].shape;
    tensor.type = specs[i].type.value_or(type_of_inputs(graph, node));
    tensor.role = output_role(phase);
    node.outputs.push_back(graph.add_tensor(std::move(tensor)));
  }
  if (def.updates) {
    for (size_t i : def.updates(shapes)) node.updates.push_back(node.inputs[i]);
  }
  graph.nodes.push_back(node);
  return node.outputs;
}

Attributes attributes_of(const ChannelRange& range) {
  return {
      {"axis", int64_t{range.axis}}, {"begin", range.first}, {"end", range.first + range.count}};
}

TensorId GraphBuilder::images(const Shape& shape) {
  return graph_.add_tensor({"images", shape, ElementType::f32, Role::data, {}, false});
}

TensorId GraphBuilder::labels(int64_t batch) {
  return graph_.add_tensor({"labels", {batch}, ElementType::i32, Role::data, {}, false});
}

TensorId GraphBuilder::counter() {
  const TensorId found = graph_.find("counter");
  if (found != kNoTensor) return found;
  return graph_.add_tensor({"counter", {4}, ElementType::i32, Role::data, {}, false});
}

std::vector<TensorId> GraphBuilder::layer_outputs(const std::string& op, const std::string& name,
                                                  std::vector<TensorId> inputs,
                                                  const Attributes& attributes) {
  const OpDef& def = find_op(op);
  for (size_t i = inputs.size(); i < def.inputs.size(); ++i) {
    if (def.inputs[i].name == "counter") {
      inputs.resize(i, kNoTensor);
      inputs.push_back(counter());
    }
  }
  if (def.parameters) {
    const Attributes full = with_defaults(def, attributes);
    OpShapes shapes{full, {}};
    for (TensorId t : inputs) shapes.inputs.push_back(t == kNoTensor ? Shape{} : shape(t));
    for (const Parameter& p : def.parameters(shapes)) {
      if (p.input < inputs.size() && inputs[p.input] != kNoTensor) continue;
      if (p.input >= inputs.size()) inputs.resize(p.input + 1, kNoTensor);
      inputs[p.input] = graph_.add_tensor({str_cat(name, ".", p.suffix), p.shape, ElementType::f32,
                                           p.role, p.init, p.role == Role::weight});
    }
  }
  Attributes numbered = attributes;
  const bool draws = std::any_of(def.attributes.begin(), def.attributes.end(),
                                 [](const AttributeSpec& a) { return a.name == "layer"; });
  if (draws && !attributes.has("layer")) {
    // Each layer draws its own random numbers.
    const auto same = [&](const Node& n) { return n.op == op; };
    numbered.set("layer", static_cast<int64_t>(
                              std::count_if(graph_.nodes.begin(), graph_.nodes.end(), same)));
  }
  return append_node(graph_, Phase::forward, op, name, std::move(inputs), numbered);
}

TensorId GraphBuilder::layer(const std::string& op, const std::string& name,
                             std::vector<TensorId> inputs, const Attributes& attributes) {
  return layer_outputs(op, name, std::move(inputs), attributes)[0];
}

void GraphBuilder::classify(TensorId logits, double label_smoothing) {
  graph_.tensor(logits).name = "logits";
  const auto outputs =
      layer_outputs("softmax_cross_entropy", "criterion", {logits, labels(shape(logits)[0])},
                    {{"label_smoothing", label_smoothing}});
  graph_.tensor(outputs[0]).name = "loss";
  graph_.tensor(outputs[0]).role = Role::metric;
  graph_.tensor(outputs[1]).name = "correct";
  graph_.tensor(outputs[1]).role = Role::metric;
}

}  // namespace thimble
