#include "models/memory_profile.h"

#include <algorithm>
#include <map>

#include "ops/core/op.h"

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
      const bool behind = std::any_of(node.inputs.begin(), node.inputs.end(), [&](TensorId t) {
        return t != kNoTensor && (reached.contains(t) || graph.tensor(t).trainable);
      });
      if (!behind) continue;
      reached.insert(node.outputs.begin(), node.outputs.end());
      passes_activations_ |= kind_of(node) == Kind::activation || joined_activation(node) != "none";
    }
  }

  void count(const Node& node, BlockMemory& block) {
    switch (kind_of(node)) {
      case Kind::layer:
        add(block, bytes_of(node.inputs[0]) + bytes_of(node.outputs[0]) / groups_of(node),
            trains(node, "weights") ? bytes_of(node.inputs[0]) : 0);
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
    const OpDef& def = find_op(node.op);
    const bool one_in_one_out = node.inputs.size() == 1 && def.outputs.size() == 1;
    return def.elementwise && one_in_one_out ? Kind::activation : Kind::other;
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
  static int64_t groups_of(const Node& node) {
    return node.attributes.has("groups") ? node.attributes.integer("groups") : 1;
  }
  bool trains(const Node& node, const std::string& port) const {
    const size_t i = port_of(find_op(node.op), port);
    return i < node.inputs.size() && node.inputs[i] != kNoTensor &&
           graph_.tensor(node.inputs[i]).trainable;
  }

  const Graph& graph_;
  int64_t examples_ = 1;
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
    if (!group.layers.empty()) groups.push_back(std::move(group));
  };
  if (!blocks.empty()) add("stem", false, blocks.front().first);
  for (const NetworkBlock& block : blocks) add(block.name, true, block.last);
  add("head", false, backbone.layers.size());
  return groups;
}

MemoryProfile memory_profile(const Graph& forward, const std::vector<LayerGroup>& groups) {
  std::map<std::string, size_t> group_of;
  MemoryProfile profile;
  for (const LayerGroup& group : groups) {
    for (const std::string& layer : group.layers) group_of[layer] = profile.blocks.size();
    profile.blocks.push_back({group.name, group.is_block});
  }
  ensure(!groups.empty(), "no layers to profile");
  Counter counter(forward);
  size_t at = 0;
  for (const Node& node : forward.nodes) {
    const auto it = group_of.find(node.name);
    if (it != group_of.end()) at = it->second;
    counter.count(node, profile.blocks[at]);
  }
  profile.cumulative_bytes = counter.kept_bytes();
  int64_t kept = 0;
  for (BlockMemory& block : profile.blocks) {  // one that only reshapes keeps what came before
    kept = block.cumulative_bytes = std::max(kept, block.cumulative_bytes);
    profile.peak_bytes = std::max(profile.peak_bytes, block.peak_bytes);
  }
  for (const Tensor& tensor : forward.tensors) {
    if (tensor.role != Role::weight) continue;
    const int64_t count = (tensor.dense.rank() > 0 ? tensor.dense : tensor.shape).elements();
    (tensor.trainable ? profile.trained_parameters : profile.frozen_parameters) += count;
  }
  return profile;
}

}  // namespace thimble
