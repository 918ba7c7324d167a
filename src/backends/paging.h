#pragma once

#include "backends/backend.h"

namespace thimble {

// The kernel of a node that pages (OpDef::paging), the same for all backends. What waits in the
// file is known to the graph by a number; that number's layout says how the tensor lay in memory,
// so that it comes back the same. State waits under its own name, and is laid out as in memory.
KernelChoice choose_paging(const Graph& graph, const Node& node,
                           const std::vector<Layout>& layouts);

}  // namespace thimble
