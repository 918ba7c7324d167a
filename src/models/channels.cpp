#include "models/channels.h"

#include <algorithm>
#include <map>

#include "base/error.h"
#include "models/activation_op.h"

namespace thimble {
namespace {

// Each channel of what comes out depends on the same channel of the first input alone.
bool keeps_channels(const NetworkLayer& layer) {
  static const std::set<std::string> kOthers = {"max_pool", "average_pool", "global_average_pool",
                                                "pad",      "dropout",      "upsample_bilinear"};
  return kOthers.contains(layer.op) || is_activation(layer.op);
}

class Finder {
 public:
  explicit Finder(const Network& network) {
    for (const NetworkParameter& p : network.parameters) shapes_[p.name] = p.shape;
    refuse(network.input, "they are the images' own");
    for (const NetworkLayer& layer : network.layers) add(layer);
    refuse(network.output, str_cat("they are what ", network.name, " gives"));
  }

  std::vector<ChannelGroup> groups() {
    std::vector<ChannelGroup> all;
    for (const std::string& map : first_maps_) {
      if (root(map) == map) all.push_back(std::move(groups_[map]));
    }
    std::map<std::pair<std::string, int>, int> readers;
    for (const ChannelGroup& group : all) {
      for (const ChannelCut& c : group.cuts) ++readers[{c.parameter, c.axis}];
    }
    for (ChannelGroup& group : all) {
      for (const ChannelCut& c : group.cuts) {
        if (readers[{c.parameter, c.axis}] > 1 && group.refusal.empty()) {
          group.refusal = str_cat("several layers read ", c.parameter);
        }
      }
    }
    return all;
  }

 private:
  void add(const NetworkLayer& layer) {
    const std::string& src = layer.inputs[0];
    const std::string& dst = layer.outputs[0];
    if (layer.op == "conv2d") return add_convolution(layer);
    if (layer.op == "batch_norm" && layer.inputs[1].empty()) {
      unite(src, dst);
      for (size_t i = 2; i < layer.inputs.size(); ++i) cut(src, layer.inputs[i], 0);
      return;
    }
    if (keeps_channels(layer)) return unite(src, dst);
    const std::string why = str_cat("layer ", layer.name, " (", layer.op, ") takes them together");
    for (const std::string& t : layer.inputs) {
      if (!t.empty() && !shapes_.contains(t)) refuse(t, why);
    }
    for (const std::string& t : layer.outputs) refuse(t, why);
  }

  void add_convolution(const NetworkLayer& layer) {
    const std::string& src = layer.inputs[0];
    const std::string& dst = layer.outputs[0];
    if (!shapes_.contains(layer.inputs[1])) {
      const std::string why = str_cat("the weights of layer ", layer.name, " are computed");
      refuse(src, why);
      return refuse(dst, why);
    }
    const Shape& weights = shapes_.at(layer.inputs[1]);
    const int64_t groups = layer.attributes.has("groups") ? layer.attributes.integer("groups") : 1;
    group(src).readers.push_back(layer.name);
    if (groups > 1 && weights[1] == 1 && weights[0] == groups) {
      unite(src, dst);
      group(src).depthwise.push_back(layer.name);
    } else {
      ChannelGroup& made = group(dst);
      made.name = layer.name;
      made.channels = weights[0];
      made.makers.push_back(layer.name);
      if (groups > 1) {
        const std::string why = str_cat("layer ", layer.name, " takes them in ", groups, " groups");
        refuse(src, why);
        refuse(dst, why);
      }
      cut(src, layer.inputs[1], 1);
    }
    cut(dst, layer.inputs[1], 0);
    if (layer.inputs.size() > 2 && !layer.inputs[2].empty()) cut(dst, layer.inputs[2], 0);
  }

  const std::string& root(const std::string& map) {
    const auto it = parents_.find(map);
    if (it == parents_.end()) {
      first_maps_.push_back(map);
      groups_[map].maps = {map};
      return parents_[map] = map;
    }
    if (it->second == map) return it->second;
    const std::string top = root(it->second);
    return parents_[map] = top;
  }
  ChannelGroup& group(const std::string& map) { return groups_.at(root(map)); }

  // `dst` is new: all that is known of it is its name.
  void unite(const std::string& src, const std::string& dst) {
    const std::string top = root(src);
    parents_[dst] = top;
    groups_.at(top).maps.insert(dst);
  }
  void cut(const std::string& map, const std::string& parameter, int axis) {
    group(map).cuts.push_back({parameter, axis});
  }
  void refuse(const std::string& map, const std::string& why) {
    if (group(map).refusal.empty()) group(map).refusal = why;
  }

  std::map<std::string, Shape> shapes_;         // of parameters
  std::map<std::string, std::string> parents_;  // of maps, up to the first one of a group
  std::map<std::string, ChannelGroup> groups_;  // by first map
  std::vector<std::string> first_maps_;         // in the order of the layers
};

}  // namespace

std::vector<ChannelGroup> channel_groups(const Network& network) {
  std::vector<ChannelGroup> all = Finder(network).groups();
  std::erase_if(all, [](const ChannelGroup& g) { return g.makers.empty(); });
  return all;
}

std::vector<ChannelGroup> hidden_channels(const std::vector<ChannelGroup>& all,
                                          const Network& network,
                                          const std::vector<NetworkBlock>& blocks, size_t block) {
  std::set<std::string> own;  // layers of the block
  for (size_t i = blocks[block].first; i < blocks[block].last; ++i) {
    own.insert(network.layers[i].name);
  }
  std::vector<ChannelGroup> hidden;
  for (const ChannelGroup& group : all) {
    const bool leaves = std::any_of(blocks.begin(), blocks.end(), [&](const NetworkBlock& b) {
      return group.maps.contains(b.output);
    });
    const bool read_here =
        !group.readers.empty() &&
        std::all_of(group.readers.begin(), group.readers.end(),
                    [&](const std::string& layer) { return own.contains(layer); });
    if (read_here && !leaves) hidden.push_back(group);
  }
  return hidden;
}

}  // namespace thimble
