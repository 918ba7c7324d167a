#pragma once

#include <functional>

#include "models/channels.h"
#include "models/memory_profile.h"

namespace thimble {

// What is left of channels that are there together: ascending indices, at least one.
struct Pruning {
  ChannelGroup group;
  std::vector<int64_t> kept;
};

// The network without the other channels, and what is left of a parameter's values. A parameter may
// lose rows by one pruning and columns by another. Throws UserError when a group may not be pruned.
Network pruned(Network network, const std::vector<Pruning>& prunings);
std::vector<float> pruned_values(const NetworkParameter& whole, std::vector<float> values,
                                 const std::vector<Pruning>& prunings);

// How many channels are left of a group that loses this share of them; at least one is.
int64_t kept_channels(const ChannelGroup& group, double ratio);
// The channels with the largest scores, as many as asked for.
std::vector<int64_t> largest(const std::vector<double>& scores, int64_t count);

// A block whose hidden channels may be removed.
struct PrunableBlock {
  std::string name;  // as in the profile
  std::vector<ChannelGroup> groups;
};

// What a block may take: its peak, or else its temporary bytes alone.
struct MemoryTarget {
  int64_t bytes = 0;
  bool temporary = false;

  int64_t of(const BlockMemory& block) const {
    return temporary ? block.temporary_bytes : block.peak_bytes;
  }
};

// A block and the smallest share of its hidden channels without which it keeps to the target.
struct BlockRatio {
  double ratio = 0;
  bool reached = true;        // false: not even with one channel
  BlockMemory before, after;  // of the whole network, and of the one with all blocks pruned
};

// By bisection, from the first block to the last: what a block takes depends on what those before
// it keep, which is less when they are pruned, and not on those behind. `profile` is of the network
// that comes, with what is trained beside it.
std::vector<BlockRatio> smallest_ratios(
    const Network& network, const std::vector<PrunableBlock>& blocks, const MemoryTarget& target,
    const std::function<MemoryProfile(const Network&)>& profile);

}  // namespace thimble
