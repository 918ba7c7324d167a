#pragma once

#include "graph/graph.h"

namespace thimble {

// Layers of a forward graph whose output the backward pass reads only to know what an activation
// let through keep one bit for each element instead. Same bits, and less memory traffic: backward
// reads the mask, 1/32 of the bytes of the output. (As in In-Place ABN, arXiv 1712.02616, and
// Gist.) Where weights are frozen that is most of what would be kept: fixed norms and frozen
// convolutions read nothing.
Graph use_masks(const Graph& forward);

}  // namespace thimble
