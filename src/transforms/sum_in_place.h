#pragma once

#include "graph/graph.h"

namespace thimble {

// A convolution whose result, or whose input's gradient, is only added to something adds to it
// itself, a few examples at a time: what it makes never lies in memory as a whole, and is added
// while it is in the cache. Same bits.
Graph sum_in_place(const Graph& graph);

}  // namespace thimble
