#pragma once

#include <iosfwd>

#include "transforms/recompute.h"

namespace thimble {

// A plan as numbers with spaces between them, and back.
void write(std::ostream& out, const RecomputePlan& plan);
// Throws UserError when it ends early or is no plan.
RecomputePlan read_recompute_plan(std::istream& in);
// Throws UserError unless it may be applied to `training`: nodes that do not exist, or that run too
// seldom.
void check_fits(const RecomputePlan& plan, const Graph& training);

}  // namespace thimble
