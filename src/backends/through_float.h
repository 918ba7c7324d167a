#pragma once

#include <functional>

#include "backends/backend.h"

namespace thimble {

// True when the node reads or makes bf16 numbers.
bool touches_bf16(const Graph& graph, const Node& node);

using ChooseKernel =
    std::function<KernelChoice(const Graph&, const Node&, const std::vector<Layout>&)>;

// A kernel for a node that touches bf16 numbers, from the one that `choose` gives for the same node
// in f32: numbers are brought into float scratch, and rounded when they leave it. Correct for every
// op; twice the memory traffic and more.
KernelChoice choose_through_float(const Graph& graph, const Node& node,
                                  const std::vector<Layout>& layouts, const ChooseKernel& choose);

}  // namespace thimble
