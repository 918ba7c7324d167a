#pragma once

#include "graph/graph.h"

namespace thimble {

// What an example of each class counts in the loss, (classes): data that whoever trains fills in.
inline constexpr const char* kClassWeights = "class weights";

// The forward graph with a loss that reads them. Its evaluation (`inference_graph`) does not: the
// loss on a test split stays the mean over its examples.
Graph with_class_weights(Graph forward);
Graph without_class_weights(Graph forward);

}  // namespace thimble
