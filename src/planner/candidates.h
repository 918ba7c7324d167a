#pragma once

#include <optional>

#include "planner/planner.h"
#include "transforms/recompute.h"

namespace thimble {

// A way to train that the planner may try.
struct Candidate {
  int64_t microbatches = 1;
  std::optional<RecomputePlan> recompute;  // nothing: keep everything
  int64_t arena_bytes = 0;                 // estimated: largest live bytes, without scratch
  double seconds = 0;                      // of a step, predicted
};

struct Candidates {
  Candidate plain;                // keeps everything
  std::vector<Candidate> useful;  // never empty
};

// Fastest first; those that are both slower and larger than another are left out. A machine that
// was not measured is taken for a usual one.
Candidates find_candidates(const PlanRequest& request, Machine machine);

// The memory to book beside a program of one microbatch.
std::vector<Reservation> reservations_of(const PlanRequest& request, int64_t microbatches);

// The graph of one step that keeps everything, of so many microbatches.
Graph training_graph(const PlanRequest& request, int64_t microbatches);
// The candidate's own.
Graph training_graph(const PlanRequest& request, const Candidate& candidate);

}  // namespace thimble
