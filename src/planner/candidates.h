#pragma once

#include "planner/build.h"

namespace thimble {

struct Candidates {
  Candidate plain;                // keeps everything
  std::vector<Candidate> useful;  // never empty
};

// Fastest first; those that are both slower and larger than another are left out. A machine that
// was not measured is taken for a usual one. `local_search`: around the dynamic programme's plans;
// tests do without it to see what it is good for.
Candidates find_candidates(const PlanRequest& request, Machine machine, bool local_search = true);

}  // namespace thimble
