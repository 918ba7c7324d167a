#pragma once

#include "graph/graph.h"

namespace thimble {

// What forward makes and the backward pass reads much later waits in the page file: written from
// when it is made, read back shortly before it is read, both beside the computing. So does the
// state of optimizers, from its update to that of the next step. Begins with the state, goes on
// with what waits longest, until `percent` of the bytes that may wait there do. Same bits.
// `training` may have been rewritten before.
Graph offload(const Graph& training, int64_t percent);

}  // namespace thimble
