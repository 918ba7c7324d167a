#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "models/network_blocks.h"

namespace thimble {

// Layers of a network that are looked at together.
struct LayerGroup {
  std::string name;
  bool is_block = true;          // false: the stem before the first block, the head behind the last
  std::set<std::string> layers;  // their names
  std::string beside = {};       // what names begin with of a network beside it; empty: none
};

// The blocks of a backbone with stem and head around them: each layer in one, in their order. Pools
// between blocks are the next one's. What stands beside a block is called "side.<block>...".
std::vector<LayerGroup> layer_groups(const Network& backbone);

// Where a layer belongs.
class GroupOfLayer {
 public:
  explicit GroupOfLayer(const std::vector<LayerGroup>& groups);

  struct Place {
    std::optional<size_t> group = {};  // nothing: none has it
    bool beside = false;
  };
  Place operator()(const std::string& layer) const;

 private:
  std::map<std::string, size_t> groups_;                // by layer
  std::vector<std::pair<std::string, size_t>> beside_;  // by what names begin with
};

// Activation memory of a block, of one example, in bytes: equations 2, 5 and 6 of "Efficient
// On-device Transfer Learning using Activation Memory Reduction" (FMEC 2023).
struct BlockMemory {
  std::string name;
  bool is_block = true;
  int64_t temporary_bytes = 0;   // of the layer that takes most: what goes in and comes out
  int64_t cumulative_bytes = 0;  // kept for the backward pass, by this block and those before
  int64_t peak_bytes = 0;  // largest sum of a layer's temporary bytes and what is kept by then
  friend bool operator==(const BlockMemory&, const BlockMemory&) = default;
};

struct MemoryProfile {
  std::vector<BlockMemory> blocks;
  int64_t cumulative_bytes = 0;  // of the whole network
  int64_t peak_bytes = 0;        // equation 1
  int64_t trained_parameters = 0, frozen_parameters = 0;

  // A block that takes more for a moment than the whole network keeps.
  bool is_sensitive(const BlockMemory& b) const {
    return b.is_block && b.temporary_bytes > cumulative_bytes;
  }
  // Equation 4: activations of a batch, trained weights in f32 and frozen ones in 8 bits.
  int64_t total_bytes(int64_t batch) const {
    return peak_bytes * batch + 4 * trained_parameters + frozen_parameters;
  }
};

// As the paper counts, with f32 activations and the forward pass alone. Of a forward graph, fused
// or not, as its weights are trainable:
//   * a convolution takes what goes in, and what comes out divided by its groups (depthwise ones
//     work in place); a linear layer what goes in and out; a normalisation and an activation, what
//     goes in; everything else, and a residual that waits, nothing;
//   * kept is what goes into a layer or a normalisation whose weight or scale is trained (of a
//     weight that is trained in part, those channels); and, where any activation is passed on the
//     way back, one bit for each number behind every relu, relu6 and leaky_relu, and what goes into
//     every other activation, as the paper's profiler does.
// A module beside a block runs behind the block's own layers, wherever it stands in the graph. Any
// other layer that is in none of `groups` counts with the one before it.
MemoryProfile memory_profile(const Graph& forward, const std::vector<LayerGroup>& groups);

}  // namespace thimble
