#pragma once

#include <vector>

#include "graph/graph.h"

namespace thimble {

// The mean square of each tensor's elements as the model begins, by tensor: of images 1, behind
// norms what their first weights say, behind convolutions what their weights' variance does to
// independent inputs, of sums of independent terms the sum. 1 where nothing is known.
std::vector<double> expected_powers(const Graph& graph);

}  // namespace thimble
