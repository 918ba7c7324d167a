#include <set>

#include "base/error.h"
#include "models/network.h"
#include "ops/core/op.h"

namespace thimble {
namespace {

// What a graph has that a network leaves to whoever runs it.
bool is_of_the_step(const std::string& attribute) {
  return attribute == "training" || attribute == "mask";
}

// Takes the layers of a graph apart, under its names.
class Taker {
 public:
  explicit Taker(const Graph& graph) : graph_(graph) {
    for (const Tensor& t : graph.tensors) {
      names_.push_back(t.name);
      taken_.insert(t.name);
    }
  }

  void take(const Node& node) {
    if (node.op == "softmax_cross_entropy") return;
    require(node.phase == Phase::forward && node.band == 0, "layer ", node.name,
            " is no whole layer of a network");
    if (node.op == "dropout") {
      rename(node.outputs[0], name_of(node.inputs[0]));
      return;
    }
    NetworkLayer layer{node.op, node.name, {}, {}, {}};
    for (TensorId t : node.inputs) layer.inputs.push_back(t == kNoTensor ? "" : name_of(t));
    while (layer.inputs.back().empty()) layer.inputs.pop_back();
    const OpDef& def = find_op(node.op);
    const bool makes_many = def.outputs.back().name == "...";
    for (TensorId t : node.outputs) {
      if (t == kNoTensor || (!makes_many && !layer.outputs.empty())) continue;
      layer.outputs.push_back(name_of(t));
    }
    for (const AttributeSpec& spec : def.attributes) {
      const AttributeValue& value = node.attributes.at(spec.name);
      if (value != spec.initial && !is_of_the_step(spec.name))
        layer.attributes.set(spec.name, value);
    }
    const bool normalises = node.op == "batch_norm" || node.op == "group_norm";
    if (!normalises) return add(std::move(layer));
    take_norm(node, std::move(layer));
  }

  // Weights and statistics that a layer reads, in the graph's order.
  std::vector<NetworkParameter> parameters() const {
    std::vector<NetworkParameter> all;
    for (const Tensor& t : graph_.tensors) {
      const bool kept = t.role == Role::weight || t.role == Role::statistic;
      if (kept && read_.contains(t.name)) all.push_back({t.name, t.shape, t.role, t.init});
    }
    return all;
  }

  const std::string& name_of(TensorId t) const { return names_[static_cast<size_t>(t)]; }
  std::vector<NetworkLayer>& layers() { return layers_; }

 private:
  void rename(TensorId t, const std::string& name) { names_[static_cast<size_t>(t)] = name; }

  void add(NetworkLayer layer) {
    read_.insert(layer.inputs.begin(), layer.inputs.end());
    layers_.push_back(std::move(layer));
  }

  std::string unique(const std::string& wanted) {
    std::string name = wanted;
    for (int copy = 2; !taken_.insert(name).second; ++copy) name = str_cat(wanted, '.', copy);
    return name;
  }

  // A layer on `src`, behind the norm that it was joined with; what it makes comes back.
  std::string follow(const NetworkLayer& norm, const std::string& op,
                     std::vector<std::string> inputs, Attributes attributes) {
    const std::string name = unique(str_cat(norm.name, '.', op));
    add({op, name, std::move(inputs), {name}, std::move(attributes)});
    return name;
  }

  void take_norm(const Node& node, NetworkLayer norm) {
    const std::string addend = norm.inputs[1];
    const std::string activation = node.attributes.text("activation");
    norm.inputs[1].clear();
    Attributes own;
    for (const auto& [name, value] : norm.attributes) {
      if (name != "activation" && name != "slope") own.set(name, value);
    }
    norm.attributes = own;
    std::string made = norm.outputs[0];
    add(norm);
    if (!addend.empty()) made = follow(norm, "add", {made, addend}, {});
    if (activation != "none") {
      Attributes a;
      if (activation == "leaky_relu") a.set("alpha", node.attributes.real("slope"));
      made = follow(norm, activation, {made}, a);
    }
    rename(node.outputs[0], made);
  }

  const Graph& graph_;
  std::vector<std::string> names_;  // by tensor: what the network calls it
  std::set<std::string> taken_;
  std::set<std::string> read_;
  std::vector<NetworkLayer> layers_;
};

}  // namespace

Network network_of(const Graph& forward, const ModelOptions& options) {
  const TensorId images = forward.find("images");
  const TensorId logits = forward.find("logits");
  require(images != kNoTensor && logits != kNoTensor, forward.name, " is no classifier of images");
  Taker taker(forward);
  for (const Node& node : forward.nodes) taker.take(node);
  const Shape& shape = forward.tensor(images).shape;
  Network network;
  network.name = forward.name;
  network.input = taker.name_of(images);
  network.output = taker.name_of(logits);
  network.image = {options.channels > 0 ? options.channels : shape[1],
                   options.height > 0 ? options.height : shape[2],
                   options.width_px > 0 ? options.width_px : shape[3]};
  network.layers = std::move(taker.layers());
  network.parameters = taker.parameters();
  return network;
}

}  // namespace thimble
