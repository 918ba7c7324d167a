#pragma once

#include <optional>

#include "planner/planner.h"
#include "transforms/recompute.h"

namespace thimble {

// A way to train that the planner may try.
struct Candidate {
  int64_t microbatches = 1;
  std::vector<Setting> settings = {};           // in the order of the table of techniques
  std::optional<RecomputePlan> recompute = {};  // nothing: keep everything
  int64_t arena_bytes = 0;                      // estimated: largest live bytes, without scratch
  double seconds = 0;                           // of a step, predicted
  // Predicted, of the noisiest tensor that is had again; see Rewrite.
  double snr_db = static_cast<double>(kUsualSnrDb);
};

// The memory to book beside a program of one microbatch.
std::vector<Reservation> reservations_of(const PlanRequest& request, int64_t microbatches);

// Settings that the planner may try by themselves: of every technique that keeps its promise
// without being allowed, or that the user allows. Of a run that goes on: only those that are
// bit_exact; what it began with is in every candidate.
std::vector<Setting> settings_to_try(const PlanRequest& request);
// Whether what the forward pass made may be made again.
bool may_recompute(const PlanRequest& request);
// Numbers of microbatches that may be tried, 1 first unless the run began with others.
std::vector<int64_t> microbatches_to_try(const PlanRequest& request);
// True when the batch has so many equal parts, and each has whole pictures or is a part of one.
bool holds_pictures(const PlanRequest& request, int64_t microbatches);
// All numbers of parts for which that is so, ascending.
std::vector<int64_t> equal_parts(const PlanRequest& request);
Numerics numerics_of(const PlanRequest& request, const Candidate& candidate);
// Where `request.forward` has some: how many there are, and how they change.
std::string sparse_weights_text(const PlanRequest& request);
// Of `request.cached`: which tensor it is, and what it takes in the file.
std::string cached_text(const PlanRequest& request);
Promise promise_of(const PlanRequest& request, const Candidate& candidate);

// The graph of one step that keeps everything, without what comes last; a refusal when one of its
// techniques cannot be used here.
Rewrite keeping_graph(const PlanRequest& request, const Candidate& candidate);
// The rest of the candidate, on that graph.
Rewrite finished_graph(const PlanRequest& request, const Graph& keeping,
                       const Candidate& candidate);
// Both.
Rewrite training_graph(const PlanRequest& request, const Candidate& candidate);
// What evaluates the model while the candidate trains it.
Graph evaluation_graph(const PlanRequest& request, const Candidate& candidate);

}  // namespace thimble
