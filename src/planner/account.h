#pragma once

#include "planner/build.h"
#include "schedule/order.h"

namespace thimble {

// What one part of a plan saves and costs beside a plan of the parts before it alone.
struct Share {
  std::string name;
  std::string where;        // for people; may be empty
  int64_t saved_bytes = 0;  // of the largest sum of live bytes, without scratch; below 0: it costs
  double cost_seconds = 0;  // predicted; below 0: it is faster
};

// A candidate's parts: sharing places, what is free, the order, microbatches, each setting,
// recomputing. Judged as the search does, on plain layouts: about right, and cheap.
std::vector<Share> account_for(const PlanRequest& request, const Candidate& candidate, Order order,
                               const Machine& machine);

// The step makes a forward result once more (transforms/recompute.h, invert.h).
bool runs_again(const Schedule& schedule, const Step& step);

}  // namespace thimble
