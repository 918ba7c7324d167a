#pragma once

#include <set>

#include "models/memory_profile.h"
#include "models/written_network.h"

// The paper's network, for tests of its profile and of pruning by it.

namespace thimble {

inline ModelOptions options_of(const Network& network, int64_t batch) {
  ModelOptions o;
  o.batch = batch;
  o.channels = network.image[0];
  o.height = network.image[1];
  o.width_px = network.image[2];
  o.norm = "frozen";
  return o;
}

// With only those parameters trained for whose names `trains` holds.
template <class Trains>
Graph graph_with(const Network& network, const Trains& trains, int64_t batch = 1) {
  Graph graph = graph_of(network, options_of(network, batch));
  for (Tensor& t : graph.tensors) t.trainable = t.role == Role::weight && trains(t.name);
  return graph;
}

inline bool is_head_or_side(const std::string& name) {
  return name.starts_with("fc.") || name.starts_with("side.");
}

// As the paper has it: six modules, the first on the image pooled to 56x56 and behind block 2. What
// a module makes is not joined to the backbone here: to bring it to its size and to add it takes no
// bytes in the paper's convention.
inline Network with_rep_net(int64_t classes) {
  const std::set<int64_t> blocks = {2, 4, 7, 11, 14, 17};
  const auto module = [&](WrittenNetwork& w, int64_t block, const std::string& in,
                          const std::string& out) {
    if (!blocks.contains(block)) return out;
    const bool first = block == 2;
    const std::string name = "side.block" + std::to_string(block);
    std::string x = w.pool(name + ".pool", first ? w.network.input : in, first ? 4 : 2);
    x = w.conv(name + ".conv1", x, std::max<int64_t>(8, w.channels(x)), block == 17 ? 3 : 5, 1,
               first ? 1 : 2);
    x = w.plain("relu", name + ".relu", {w.norm(name + ".norm1", x)});
    w.conv_norm(name + ".out", x, w.channels(out));
    return out;
  };
  return written_mobilenet_v2(classes, 224, module).network;
}

inline std::vector<LayerGroup> groups_of_backbone() {
  return layer_groups(written_mobilenet_v2(10).network);
}

}  // namespace thimble
