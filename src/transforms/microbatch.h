#pragma once

#include <string>

#include "graph/graph.h"

namespace thimble {

// The same forward graph for another number of examples.
Graph with_batch(const Graph& forward, int64_t batch);
int64_t batch_of(const Graph& forward);

// True when a layer's result depends on the whole batch (batch norm): smaller ones are another
// computation, ghost batch norm (arXiv 1705.08741).
bool reads_batch_statistics(const Graph& forward);

// A training graph of one microbatch (from `add_optimizer`) as one of a step of `count` of them:
// the mean of their gradients moves the weights, once. The sum is made in the optimizer's momentum
// where that is exact, in accumulators otherwise. The same mathematics as the whole batch, in
// another order, unless the forward pass reads batch statistics.
Graph accumulate_gradients(const Graph& training, int64_t count);

}  // namespace thimble
