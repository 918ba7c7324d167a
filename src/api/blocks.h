#pragma once

#include "models/memory_profile.h"
#include "planner/planner.h"
#include "runtime/model_choice.h"

namespace thimble {

// The blocks of what was chosen, without the network beside it; one group of all layers where it
// cannot be said as layers of a file.
std::vector<LayerGroup> groups_of(const ModelSource& source, ModelChoice choice);

// The same table in thimble's own plan, in bytes of the batch: what lies in the arena beside
// weights, their gradients, optimizer and data. Cumulative: what waits for the backward pass when a
// block's forward steps are done; temporary: the largest rest at any of its steps; peak: the
// largest sum, of the backward pass too. Parameters are not counted.
MemoryProfile planned_memory(const Program& program, const std::vector<LayerGroup>& groups);

}  // namespace thimble
