#pragma once

#include "graph/graph.h"

namespace thimble {

// The training graph with the momentum of SGD, or the moments of Adam, in blocks of 8 bits. Weights
// and gradients keep all their digits, and so does the state of small weights (biases, norms). The
// same graph when there is no such state.
Graph small_optimizer_state(const Graph& training);

}  // namespace thimble
