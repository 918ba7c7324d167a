#pragma once

#include <set>
#include <string>
#include <vector>

#include "models/network_blocks.h"

namespace thimble {

// Where a channel's own numbers stand: entries along `axis` of a parameter.
struct ChannelCut {
  std::string parameter;
  int axis = 0;
  friend bool operator==(const ChannelCut&, const ChannelCut&) = default;
};

// Channels of maps that are there together: without one, the convolution that makes it has a row
// less, normalisations and depthwise convolutions on the way an entry, and what reads it a column.
struct ChannelGroup {
  std::string name;  // of the layer that makes them
  int64_t channels = 0;
  std::set<std::string> maps;          // tensors that have them
  std::vector<ChannelCut> cuts;        // each parameter's entries
  std::vector<std::string> makers;     // convolutions whose outputs they are
  std::vector<std::string> depthwise;  // convolutions that filter each by itself
  std::vector<std::string> readers;    // convolutions that read them, first to last
  std::string refusal;                 // why none may be removed; empty: any may
};

// Of all maps that convolutions make, in the order of the layers. Channels that are added to others
// or joined with them, that an unknown layer reads, that come in or go out, may not be removed.
std::vector<ChannelGroup> channel_groups(const Network& network);

// Of a block, those that only its own layers read and that do not leave it: of the first block,
// what the stem makes may be among them. What may not be removed comes with its reason.
std::vector<ChannelGroup> hidden_channels(const std::vector<ChannelGroup>& all,
                                          const Network& network,
                                          const std::vector<NetworkBlock>& blocks, size_t block);

}  // namespace thimble
