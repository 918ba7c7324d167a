#include <algorithm>
#include <map>
#include <set>

#include "models/network.h"

// Which layers become one: names alone, no shapes.

namespace thimble {
namespace {

class Fuser {
 public:
  explicit Fuser(const Network& network) : network_(network), layers_(network.layers) {
    ++readers_[network_.output];
    for (const NetworkLayer& layer : layers_) {
      for (const std::string& input : layer.inputs) ++readers_[input];
    }
    gone_.resize(layers_.size());
  }

  Network result() {
    for (size_t i = 0; i < layers_.size(); ++i) {
      if (layers_[i].op == "conv2d") take_padding(i);
      if (layers_[i].op == "add") become_norm(i);
      if (is_activation(layers_[i].op)) join_activation(i);
    }
    Network joined = network_;
    joined.layers.clear();
    for (size_t i = 0; i < layers_.size(); ++i) {
      if (!gone_[i]) joined.layers.push_back(std::move(layers_[i]));
    }
    return joined;
  }

 private:
  // What a normalisation takes behind it.
  static bool is_activation(const std::string& op) {
    return op == "relu" || op == "relu6" || op == "leaky_relu";
  }

  // The layer of this op that makes what nobody but one reads; -1: there is none.
  std::ptrdiff_t only_for_one(const std::string& tensor, const std::string& op) const {
    const auto it = readers_.find(tensor);
    if (it == readers_.end() || it->second != 1) return -1;
    for (size_t i = 0; i < layers_.size(); ++i) {
      if (!gone_[i] && layers_[i].op == op && layers_[i].outputs[0] == tensor) {
        return static_cast<std::ptrdiff_t>(i);
      }
    }
    return -1;
  }

  void take_padding(size_t at) {
    NetworkLayer& conv = layers_[at];
    const std::ptrdiff_t i = only_for_one(conv.inputs[0], "pad");
    if (i < 0) return;
    const NetworkLayer& pad = layers_[static_cast<size_t>(i)];
    std::vector<int64_t> padding = pad.attributes.integers("padding");
    if (conv.attributes.has("padding")) {
      const auto& own = conv.attributes.integers("padding");
      if (own.size() != padding.size()) return;  // no kernel takes that either
      for (size_t k = 0; k < own.size(); ++k) padding[k] += own[k];
    }
    conv.inputs[0] = pad.inputs[0];
    conv.attributes.set("padding", padding);
    gone_[static_cast<size_t>(i)] = true;
  }

  // A norm that has neither an addend nor an activation yet.
  bool is_plain_norm(std::ptrdiff_t i) const {
    if (i < 0) return false;
    const NetworkLayer& norm = layers_[static_cast<size_t>(i)];
    return norm.inputs[1].empty() && !norm.attributes.has("activation");
  }

  // The norm that is made last moves to where the sum is, so that what it adds is there.
  void become_norm(size_t at) {
    const NetworkLayer sum = layers_[at];
    if (sum.inputs.size() != 2 || sum.inputs[0] == sum.inputs[1]) return;
    std::ptrdiff_t norm = -1;
    size_t side = 0;
    for (size_t k = 0; k < 2; ++k) {
      const std::ptrdiff_t i = only_for_one(sum.inputs[k], "batch_norm");
      if (!is_plain_norm(i) || i < norm) continue;
      norm = i;
      side = k;
    }
    if (norm < 0 || sum.attributes.begin() != sum.attributes.end()) return;
    layers_[at] = layers_[static_cast<size_t>(norm)];
    layers_[at].inputs[1] = sum.inputs[1 - side];
    layers_[at].outputs = sum.outputs;
    gone_[static_cast<size_t>(norm)] = true;
  }

  void join_activation(size_t at) {
    const NetworkLayer activation = layers_[at];
    std::ptrdiff_t i = only_for_one(activation.inputs[0], "batch_norm");
    if (i < 0) i = only_for_one(activation.inputs[0], "group_norm");
    if (i < 0 || layers_[static_cast<size_t>(i)].attributes.has("activation")) return;
    NetworkLayer& norm = layers_[static_cast<size_t>(i)];
    norm.attributes.set("activation", activation.op);
    if (activation.attributes.has("alpha")) {
      norm.attributes.set("slope", activation.attributes.at("alpha"));
    }
    norm.outputs = activation.outputs;
    gone_[at] = true;
  }

  const Network& network_;
  std::vector<NetworkLayer> layers_;
  std::vector<bool> gone_;
  std::map<std::string, int> readers_;
};

}  // namespace

Network fused(const Network& network) { return Fuser(network).result(); }

}  // namespace thimble
