#pragma once

#include <cstdint>

#include "graph/graph.h"

namespace thimble {

// The forward graph of a classifier whose examples are the patches of pictures, those of a picture
// one after the other. Evaluated, it answers with the mean of a picture's logits; its state
// kPatchSums holds their sums, and whoever runs it sets them to zero before a picture's first
// patch. Trained, each patch has its picture's label, or, with `mean`, the loss is that of the mean
// of logits, exactly: the sums must then be complete, from the graph of evaluation, and a step's
// gradient is what all patches at once would give. `patches`: of a picture; they divide the batch.
// Throws UserError when, with `mean`, training would not compute the logits of evaluation.
Graph with_patches(const Graph& forward, int64_t patches, bool mean);

inline constexpr const char* kPatchSums = "sums of patches";  // (pictures, classes)

}  // namespace thimble
