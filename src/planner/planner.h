#pragma once

#include <array>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "autodiff/differentiate.h"
#include "memory/plan.h"
#include "planner/cost_model.h"
#include "planner/numerics.h"
#include "schedule/order.h"
#include "schedule/schedule.h"
#include "transforms/invert.h"
#include "transforms/recompute.h"
#include "transforms/sparse_weights.h"

namespace thimble {

// A frozen part of the network that training steps do not run: what it makes of each example comes
// from a file (transforms/cached_features.h).
struct CachedFeatures {
  std::string tensor;    // that the part makes: data of the training graph
  int64_t examples = 0;  // in the file; 0: not known
};

// What to plan for.
struct PlanRequest {
  Graph forward;         // ends in "loss" and "correct"
  bool training = true;  // false: evaluation only
  OptimizerSpec optimizer;
  // How positions of the sparse weights in `forward` change; nothing: they stay.
  std::optional<SparseWeights> sparse;
  // Examples that belong to one picture: microbatches hold whole pictures, or equal parts of one.
  int64_t patches = 1;
  bool looks_first = false;  // a step evaluates all of its microbatches before it trains on them
  std::optional<CachedFeatures> cached = {};
  std::string backend = "auto";
  int64_t budget_bytes = 0;  // of the whole process; 0: no bound
  // The data loader's memory and the second batch slot, for batches of this size. May be empty.
  std::function<std::vector<Reservation>(int64_t batch)> reservations;
  std::optional<Numerics> numerics;  // nothing: as the planner likes
  std::vector<std::string> allow;    // `Technique::allowance` of those that may be approximate
  std::vector<std::string> without;  // names of techniques that are not used
  bool storage = false;              // techniques may page to a file
  int64_t min_snr_db = kUsualSnrDb;  // of what is had again with errors (transforms/invert.h)
  // Runs once what training will run beside the kernels (decoding a picture), so that its code and
  // state are resident when bytes are measured. May be empty.
  std::function<void()> warm_up;
};

// A schedule and where its tensors lie.
struct Program {
  Schedule schedule;
  MemoryPlan memory;
};

// What makes a plan's training graph from the model.
struct Chosen {
  int64_t microbatches = 1;
  std::vector<Setting> settings = {};
  std::optional<RecomputePlan> recompute = {};
  Order order = Order::as_written;
};

// One way to train that fits, or the proof that none does. Bytes are of this process on this
// machine; the programs hold kernels that are ready to be bound to an arena.
struct Plan {
  Program train;     // no steps when only evaluation was asked for
  Program evaluate;  // the same weights, at the same places
  bool fits = false;
  int64_t budget_bytes = 0;
  int64_t fixed_bytes = 0;  // code, libraries, generated kernels, heap: all but the arena
  int64_t arena_bytes = 0;
  int64_t process_bytes = 0;      // fixed + arena: the peak of resident memory
  int64_t lower_bound_bytes = 0;  // no placement of these tensors needs a smaller arena
  int64_t smallest_budget_bytes = 0;
  std::array<int64_t, kCategories> by_category = {};  // live at the peak step
  std::string peak_step;
  std::vector<Block> peak_tensors;  // the largest that are live there
  int64_t parameters = 0;           // trained values, were all weights dense
  int64_t active_parameters = 0;    // of these, what exists
  double predicted_step_seconds = 0;
  // In dB, of the noisiest tensor that is had again by dividing; infinite where none is.
  double predicted_snr_db = std::numeric_limits<double>::infinity();
  int64_t paged_bytes = 0;  // of a step: written to the page file, and read back
  Promise promise = Promise::bit_exact;
  Numerics numerics;  // the programs run one microbatch
  Chosen chosen;
  std::vector<std::string> techniques;
};

struct Candidates;

// Compiles the request. Does not run anything and makes no arena; kernels are generated, so that
// what they take is counted. A plan that does not fit is a result, not an error.
// Give the request away (std::move) where memory matters: its graph is let go before bytes are
// measured.
Plan make_plan(PlanRequest request, const Machine& machine);
// The same, for training, among these candidates alone; see planner/candidates.h.
Plan make_plan(PlanRequest request, const Machine& machine, Candidates candidates);

}  // namespace thimble
