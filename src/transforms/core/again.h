#pragma once

#include "ops/core/op.h"

// What techniques that make forward results once more have in common.

namespace thimble {

// More arithmetic for an element than this is dear to run again.
inline constexpr int64_t kCheapFlopsPerElement = 16;
bool is_cheap(const Graph& graph, const Node& node);

// The node that makes the same results once more, in the backward pass; updates nothing.
Node run_again(const Node& node);

// Behind the names of what a second run makes; a number may follow.
inline constexpr const char* kAgain = " again";
// Behind the names of what comes from tensors that lie behind it (transforms/invert.h); a number
// may follow.
inline constexpr const char* kRebuilt = " rebuilt";
// The node makes such a tensor. What it reads must be there as forward left it.
bool rebuilds(const Graph& graph, const Node& node);

}  // namespace thimble
