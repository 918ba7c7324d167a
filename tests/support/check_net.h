#pragma once

#include "graph/graph.h"
#include "support/arena_run.h"

namespace thimble {

// Values for all that a graph reads from outside: weights around their first values, statistics
// near theirs, images and seeds in [-1, 1), labels below `classes`.
Values draw_inputs(const Graph& graph, uint64_t seed, int64_t classes = 10);

// Differentiates a forward net at `output` by all of its weights and, when `by_images`, by its
// images; then every backend must give the numbers of the portable kernels in double for each
// tensor of both passes.
void check_net(const Graph& forward, TensorId output, bool by_images = true,
               double tolerance = 1e-5);

}  // namespace thimble
