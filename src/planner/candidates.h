#pragma once

#include <optional>

#include "planner/planner.h"
#include "transforms/recompute.h"

namespace thimble {

// A way to run a training graph that its planner may try.
struct Candidate {
  std::optional<RecomputePlan> recompute;  // nothing: keep everything
  int64_t arena_bytes = 0;                 // estimated: largest live bytes, without scratch
  double seconds = 0;                      // of a step, predicted
};

// Fastest first; of equally fast ones, the smallest first. Those that are both slower and larger
// than another are left out. A machine that was not measured is taken for a usual one.
std::vector<Candidate> find_candidates(const Graph& training,
                                       const std::vector<Reservation>& reservations,
                                       Machine machine);

}  // namespace thimble
