#pragma once

#include "models/memory_profile.h"
#include "models/side_network.h"
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

// MobileNetV2 with Rep-Net as the paper counts it: the first module works on 56x56 pixels, a
// quarter of the picture's sides, where the released one takes the mean of 2x2 of these once more.
inline Network paper_network(int64_t classes) {
  const Network backbone = written_mobilenet_v2(classes).network;
  return with_rep_net(backbone, backbone.image, true);
}

inline std::vector<LayerGroup> groups_of_backbone() {
  return layer_groups(written_mobilenet_v2(10).network);
}

}  // namespace thimble
