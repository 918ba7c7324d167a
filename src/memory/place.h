#pragma once

#include <vector>

#include "memory/plan.h"

namespace thimble {

// The largest sum of bytes of blocks that are live at one time: no placement needs less.
struct LowerBound {
  int64_t bytes = 0;
  int32_t step = 0;
};
LowerBound lower_bound(const std::vector<Block>& blocks);

// Gives every block an offset so that blocks whose live ranges overlap do not share bytes; returns
// the bytes used. Tries several orders of first-fit (dynamic storage allocation is NP-hard), then
// moves blocks that stand at the top forward in the best order until the lower bound is reached or
// a fixed number of tries is spent. Deterministic.
int64_t place_blocks(std::vector<Block>& blocks);

}  // namespace thimble
