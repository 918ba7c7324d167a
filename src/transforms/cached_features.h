#pragma once

#include <string>
#include <vector>

#include "graph/graph.h"

namespace thimble {

// The frozen part of a network, as far as all that is trained stands behind one tensor of it: that
// tensor can be computed once for each picture and read from a file from then on. A node is frozen
// when it reads no trained weight, draws nothing and takes no statistics of the batch, and all that
// it reads is made so.

// The last tensor, of one row for each example, behind which nobody reads the images. Throws
// UserError when there is none, or when it would spare less than a tenth of the forward pass,
// naming the trained weight that stands in the way.
std::string find_features(const Graph& forward);

// What they are called, plain, both where they are made and where they are read.
inline constexpr const char* kCachedFeatures = "cached features";

// What is trained: `features` is data under that name, the nodes in front are gone. Their weights
// and statistics stay, and nobody reads them: they are part of the model.
Graph behind_features(const Graph& forward, const std::string& features);

// What evaluates the network, and leaves `features` (N, values) under that name when it has run.
Graph keeping_features(Graph evaluation, const std::string& features);

// Names of the weights and statistics that `features` is made with.
std::vector<std::string> weights_before(const Graph& forward, const std::string& features);

}  // namespace thimble
