#pragma once

#include <string>
#include <vector>

#include "models/network.h"

namespace thimble {

// Layers that one tensor goes into and one comes out of.
struct NetworkBlock {
  std::string name;    // "block3", or what its weights' names begin with: "features.3"
  size_t first = 0;    // layers [first, last)
  size_t last = 0;     // half-open
  std::string input;   // tensor that the first layers read
  std::string output;  // tensor that everything behind reads
};

// The blocks of any backbone, first to last, by what it computes and not by what it is called. A
// block ends at a tensor that is all which later layers read of what came before, and that is
//   * joined: an add or a concat, and what directly follows it (norm, activation, channel shuffle);
//   * a linear bottleneck: a 1x1 convolution to no more channels [and norm] without activation; or
//   * separable: a 1x1 convolution behind a depthwise one, with its norm and activation.
// It begins where the last one ended, behind pools. The first begins behind the stem: where the
// branches fork, or at the depthwise convolution, or at the 1x1 convolution before either of them.
// Stem, last 1x1 convolution and head are in none. A side network's module is part of the block
// that it stands beside. Empty: nothing of the kind.
std::vector<NetworkBlock> blocks_of(const Network& network);

}  // namespace thimble
