#pragma once

#include "planner/candidates.h"

namespace thimble {

// `find_candidates` in a child process: what looking at thousands of plans takes is not part of
// this process's peak, which is what a budget bounds. The same candidates.
// Throws ChildKilled when the system ended the child, and what `find_candidates` throws.
Candidates search_apart(const PlanRequest& request, const Machine& machine);

}  // namespace thimble
