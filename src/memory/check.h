#pragma once

#include <string>
#include <vector>

#include "memory/plan.h"

namespace thimble {

// Walks the schedule as the executor will and keeps, byte range by byte range, who owns it. Knows
// nothing of how the plan was made. Returns one line per fault: a read of bytes that somebody else
// has overwritten, an output or scratch over a live tensor (but for the in-place pairs that the
// step allows), a bad alignment, bytes outside the arena. Empty: the plan is sound.
std::vector<std::string> find_faults(const Schedule& schedule, const MemoryPlan& plan);

// Throws InternalError with the first faults. Runs on every plan, in release too.
void check_plan(const Schedule& schedule, const MemoryPlan& plan);

}  // namespace thimble
