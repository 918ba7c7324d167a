#pragma once

#include <cstdint>

#include "backends/backend.h"
#include "graph/graph.h"

namespace thimble {

// A number for what a node does: its op, attributes, shapes and element types. The same in every
// graph and on every machine, so that measured times can be kept under it.
uint64_t work_of(const Graph& graph, const Node& node);
// The same for a copy from one layout to another.
uint64_t work_of_reorder(const Shape& shape, ElementType type, const Layout& from,
                         const Layout& to);

}  // namespace thimble
