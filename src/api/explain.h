#pragma once

#include "runtime/setup.h"

namespace thimble {

// Adds to a plan's report what takes planning again: the share of each technique and, where the
// plan does not fit, what approximations that the user did not allow would make of it. The plan is
// measured by then, so that this needs no bytes of it; it may be gone.
void explain(PlanReport& report, const TrainOptions& options, const Chosen& chosen);

// For a plan that does not fit: the approximations alone.
void try_allowances(PlanReport& report, const TrainOptions& options);

}  // namespace thimble
