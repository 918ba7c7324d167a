#pragma once

#include <cstdint>
#include <vector>

#include "graph/graph.h"

namespace thimble {

// Nodes [first, last] that read one copy, and the node before which its reading starts. Nodes are
// places in the graph.
struct PageReturn {
  size_t first = 0, last = 0;
  size_t start = 0;
};

// A tensor that waits in the page file.
struct Page {
  TensorId tensor = kNoTensor;
  int64_t bytes = 0;
  bool state = false;       // of an optimizer: waits from its update to that of the next step
  size_t made = 0;          // or updated
  size_t last_forward = 0;  // reader; `made` when no forward node reads it
  size_t written = 0;       // before this node, its memory is given back
  std::vector<PageReturn> returns;
};

int64_t bytes_of(const Graph& graph, TensorId tensor);

// Finds `written` and `start`: transfers begin as long before and end as long after the tensor's
// own use as they take, but not where the tensor's bytes would raise the largest sum of live bytes.
// `pages` stand in the order in which they are made.
void find_times(const Graph& graph, std::vector<Page>& pages);

}  // namespace thimble
