#pragma once

#include "graph/graph.h"

namespace thimble {

// What forward makes of weights alone (standardised ones, ops/standardize_weights.cpp) is made
// again where backward reads it first: weights are there all the time, and are small beside the
// images that they meet. Same bits.
Graph remake_weights(const Graph& training);

}  // namespace thimble
