#include "models/memory_profile.h"

#include <algorithm>
#include <array>

#include "models/activation_op.h"

namespace thimble {
namespace {

constexpr int64_t kNumberBytes = 4;

enum class Kind : uint8_t { layer, norm, activation, other };

bool keeps_a_bit(const std::string& activation) {
  return activation == "relu" || activation == "relu6" || activation == "leaky_relu";
}

// Of a norm: the activation joined to it; "none": there is none.
std::string joined_activation(const Node& node) {
  return node.attributes.has("activation") ? node.attributes.text("activation") : "none";
}

size_t port_of(const OpDef& def, const std::string& name) {
  const auto it = std::find_if(def.inputs.begin(), def.inputs.end(),
                               [&](const Port& port) { return port.name == name; });
  return static_cast<size_t>(it - def.inputs.begin());
}

class Counter {
 public:
  explicit Counter(const Graph& graph) : graph_(graph) {
    const TensorId images = graph.find("images");
    ensure(images != kNoTensor, graph.name, " has no images");
    examples_ = graph.tensor(images).shape[0];
    std::set<TensorId> reached;  // by gradients on the way back: made behind a trained weight
    for (const Node& node : graph.nodes) {
      if (makes_weights(node)) continue;
      const bool behind = std::any_of(node.inputs.begin(), node.inputs.end(), [&](TensorId t) {
        return t != kNoTensor && (reached.contains(t) || is_trained(t));
      });
      if (!behind) continue;
      reached.insert(node.outputs.begin(), node.outputs.end());
      passes_activations_ |= kind_of(node) == Kind::activation || joined_activation(node) != "none";
    }
  }

  void count(const Node& node, BlockMemory& block) {
    if (made_.contains(node.outputs[0])) return;
    switch (kind_of(node)) {
      case Kind::layer:
        add(block, bytes_of(node.inputs[0]) + bytes_of(node.outputs[0]) / groups_of(node),
            trains(node, "weights") ? bytes_of_trained_channels(node) : 0);
        break;
      case Kind::norm:
        add(block, bytes_of(node.inputs[0]), trains(node, "gamma") ? bytes_of(node.inputs[0]) : 0);
        if (joined_activation(node) != "none") activation(block, joined_activation(node), node);
        break;
      case Kind::activation:
        activation(block, node.op, node);
        break;
      case Kind::other:
        break;
    }
  }

  int64_t kept_bytes() const { return kept_; }

 private:
  static Kind kind_of(const Node& node) {
    if (node.op == "conv2d" || node.op == "linear") return Kind::layer;
    if (node.op == "batch_norm" || node.op == "group_norm") return Kind::norm;
    return is_activation(node.op) ? Kind::activation : Kind::other;
  }

  // Of nothing but weights: one that is written out, or standardised.
  bool makes_weights(const Node& node) {
    bool trained = false;
    for (TensorId t : node.inputs) {
      if (t == kNoTensor) continue;
      const bool is_weight = is_persistent(graph_.tensor(t).role) || made_.contains(t);
      if (!is_weight || graph_.tensor(t).role == Role::data) return false;
      trained |= is_trained(t);
    }
    for (TensorId t : node.outputs) made_[t] = trained;
    return true;
  }
  bool is_trained(TensorId t) const {
    const auto it = made_.find(t);
    return it != made_.end() ? it->second : graph_.tensor(t).trainable;
  }

  void activation(BlockMemory& block, const std::string& name, const Node& node) {
    const int64_t bytes = bytes_of(node.outputs[0]);
    const int64_t kept = keeps_a_bit(name) ? bytes / kNumberBytes / 8 : bytes;
    add(block, bytes, passes_activations_ ? kept : 0);
  }

  void add(BlockMemory& block, int64_t temporary, int64_t kept) {
    block.temporary_bytes = std::max(block.temporary_bytes, temporary);
    block.peak_bytes = std::max(block.peak_bytes, temporary + kept_);
    kept_ += kept;
    block.cumulative_bytes = kept_;
  }

  int64_t bytes_of(TensorId t) const {
    return graph_.tensor(t).shape.elements() / examples_ * kNumberBytes;
  }
  // Of what goes into a layer: its weight's trained channels alone, which are the channels of the
  // input, also of a depthwise convolution.
  int64_t bytes_of_trained_channels(const Node& node) const {
    const ChannelRange& part = graph_.tensor(node.inputs[1]).trained_part;
    const int64_t bytes = bytes_of(node.inputs[0]);
    return part.is_whole() ? bytes : bytes / graph_.tensor(node.inputs[0]).shape[1] * part.count;
  }
  static int64_t groups_of(const Node& node) {
    return node.attributes.has("groups") ? node.attributes.integer("groups") : 1;
  }
  bool trains(const Node& node, const std::string& port) const {
    const size_t i = port_of(find_op(node.op), port);
    return i < node.inputs.size() && node.inputs[i] != kNoTensor && is_trained(node.inputs[i]);
  }

  const Graph& graph_;
  int64_t examples_ = 1;
  std::map<TensorId, bool> made_;  // of weights alone; whether one of those is trained
  bool passes_activations_ = false;
  int64_t kept_ = 0;
};

}  // namespace

std::vector<LayerGroup> layer_groups(const Network& backbone) {
  const std::vector<NetworkBlock> blocks = blocks_of(backbone);
  std::vector<LayerGroup> groups;
  size_t next = 0;  // layers before it are in a group
  const auto add = [&](const std::string& name, bool is_block, size_t last) {
    LayerGroup group = {name, is_block, {}};
    for (; next < last; ++next) group.layers.insert(backbone.layers[next].name);
    if (is_block) group.beside = str_cat("side.", name, ".");
    if (!group.layers.empty()) groups.push_back(std::move(group));
  };
  if (!blocks.empty()) add("stem", false, blocks.front().first);
  for (const NetworkBlock& block : blocks) add(block.name, true, block.last);
  add("head", false, backbone.layers.size());
  return groups;
}

GroupOfLayer::GroupOfLayer(const std::vector<LayerGroup>& groups) {
  for (size_t g = 0; g < groups.size(); ++g) {
    for (const std::string& layer : groups[g].layers) groups_[layer] = g;
    if (!groups[g].beside.empty()) beside_.emplace_back(groups[g].beside, g);
  }
}

GroupOfLayer::Place GroupOfLayer::operator()(const std::string& layer) const {
  for (const auto& [prefix, group] : beside_) {
    if (layer.starts_with(prefix)) return {group, true};
  }
  const auto it = groups_.find(layer);
  return it != groups_.end() ? Place{it->second, false} : Place{};
}

MemoryProfile memory_profile(const Graph& forward, const std::vector<LayerGroup>& groups) {
  ensure(!groups.empty(), "no layers to profile");
  const GroupOfLayer group_of(groups);
  std::vector<std::array<std::vector<const Node*>, 2>> nodes(groups.size());  // own, beside
  size_t at = 0;
  for (const Node& node : forward.nodes) {
    const auto place = group_of(node.name);
    if (place.group && !place.beside) at = *place.group;
    nodes[place.group.value_or(at)][place.beside ? 1 : 0].push_back(&node);
  }
  MemoryProfile profile;
  Counter counter(forward);
  for (size_t g = 0; g < groups.size(); ++g) {
    profile.blocks.push_back({groups[g].name, groups[g].is_block, 0, counter.kept_bytes()});
    for (const auto& some : nodes[g]) {
      for (const Node* node : some) counter.count(*node, profile.blocks.back());
    }
    profile.peak_bytes = std::max(profile.peak_bytes, profile.blocks.back().peak_bytes);
  }
  profile.cumulative_bytes = counter.kept_bytes();
  for (const Tensor& tensor : forward.tensors) {
    if (tensor.role != Role::weight) continue;
    const int64_t count = (tensor.dense.rank() > 0 ? tensor.dense : tensor.shape).elements();
    const int64_t trained =
        tensor.trained_part.is_whole() ? count : trained_shape(tensor).elements();
    profile.trained_parameters += tensor.trainable ? trained : 0;
    profile.frozen_parameters += tensor.trainable ? count - trained : count;
  }
  return profile;
}

}  // namespace thimble
