#pragma once

#include "graph/graph.h"

namespace thimble {

// The forward graph with activations in bf16, from the images on: half the bytes, and several times
// the arithmetic where the processor multiplies bf16. Weights, statistics and what the optimizer
// keeps stay f32, and so does everything from the first matrix product of features on: it is small,
// and the loss is sensitive to it. (Mixed precision training: arXiv 1710.03740, 1905.12322.)
Graph use_bf16(const Graph& forward);

}  // namespace thimble
