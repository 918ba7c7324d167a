#pragma once

#include <string>
#include <vector>

#include "graph/graph.h"

namespace thimble {

// A tensor that the backward pass has again, measured against the kept one.
struct Observed {
  std::string tensor;            // of the forward pass
  int32_t node = -1;             // forward: whose input or output it is
  bool inverted = false;         // an input; otherwise the node ran once more
  TensorId powers = kNoTensor;   // (2): of the signal, of the noise
  TensorId loss_db = kNoTensor;  // (1): predicted of this inverse, where that depends on weights
};

// `inverted` comes from `invert`: keeps what it does not, and measures each map that is had again
// as soon as it is there. In the order of the backward pass.
Graph observe_rebuilt(const Graph& inverted, std::vector<Observed>& observed);

}  // namespace thimble
