#pragma once

#include <cstdint>

#include "graph/graph.h"
#include "transforms/core/technique.h"

namespace thimble {

// A training graph in which f32 activations wait for the backward pass in groups of 8 or 4 bits,
// rounded at random: a last technique, behind recompute, which decides what waits. Forward is
// unchanged; gradients are those of values that are right on average. The same graph when nothing
// is worth it.
Graph compress_saved(const Graph& training, int64_t bits);

// The same, or why not.
Rewrite try_compress_saved(const Graph& training, int64_t bits);

}  // namespace thimble
