#pragma once

#include "planner/build.h"

namespace thimble {

struct Candidates {
  Candidate plain;                // keeps everything
  std::vector<Candidate> useful;  // never empty
};

// Fastest first; those that are both slower and larger than another are left out. A machine that
// was not measured is taken for a usual one.
Candidates find_candidates(const PlanRequest& request, Machine machine);

}  // namespace thimble
