#pragma once

#include "graph/graph.h"

namespace thimble {

// What the node does when a model is evaluated: a normalisation takes its running statistics, and
// what it made and updated of the batch's disappears; dropout passes everything.
void as_evaluated(const Graph& graph, Node& node);

}  // namespace thimble
