#include "planner/planner.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/parallel.h"
#include "base/process_memory.h"
#include "memory/check.h"

namespace thimble {
namespace {

// Pages that a run touches after planning: kernels' and libraries' code when it first runs,
// decoding and checkpoint writing. Measured over the zoo; see experiments/process-bytes.
constexpr int64_t kLateBytes = 768 * kKiB;
// Resident bytes differ by this much from one start of the program to the next.
constexpr int64_t kStartJitter = 256 * kKiB;
constexpr size_t kPeakTensors = 8;

// Checkpoint files hold plain tensors: each is brought there through free bytes of the arena.
int64_t staging_bytes(const Schedule& schedule) {
  int64_t bytes = 0;
  for (const Transfer& t : schedule.transfers) {
    bytes = std::max(bytes, round_up(t.plain_bytes, kAlignment) + t.scratch_bytes);
  }
  return round_up(bytes, kAlignment);
}

struct Candidate {
  Program train;
  Program evaluate;
  int64_t arena_bytes = 0;
  int64_t lower_bound_bytes = 0;
};

Candidate compile(const Graph& training, const Graph& inference, Backend& backend,
                  const PlanRequest& request) {
  Candidate c;
  std::vector<NamedLayout> layouts;
  if (request.training) c.train.schedule = make_schedule(training, backend, layouts);
  c.evaluate.schedule = make_schedule(inference, backend, layouts);
  const auto persistent =
      place_persistent({&c.train.schedule, &c.evaluate.schedule}, request.reservations);
  for (Program* p : {&c.train, &c.evaluate}) {
    p->memory = plan_memory(p->schedule, persistent);
    check_plan(p->schedule, p->memory);
    const int64_t staged = p->memory.persistent_bytes + staging_bytes(p->schedule);
    c.arena_bytes = std::max({c.arena_bytes, p->memory.arena_bytes, staged});
    c.lower_bound_bytes = std::max({c.lower_bound_bytes, p->memory.lower_bound_bytes, staged});
  }
  return c;
}

// Starts the threads that will run the kernels, so that their stacks are resident and counted.
void start_threads() {
  parallel_for(thread_count(), 1, [](int64_t, int64_t) {});
}

void describe_peak(Plan& plan, const Program& program) {
  const MemoryPlan& m = program.memory;
  plan.by_category = bytes_at_step(m, m.peak_step);
  plan.peak_tensors = largest_at_step(m, m.peak_step, kPeakTensors);
  if (program.schedule.steps.empty()) return;
  const Step& step = program.schedule.steps[static_cast<size_t>(m.peak_step)];
  plan.peak_step = str_cat(name_of(step.phase), " ", step.op, " ", step.name);
}

}  // namespace

const char* name_of(Promise promise) {
  switch (promise) {
    case Promise::bit_exact: return "bit_exact";
    case Promise::same_math: return "same_math";
    case Promise::approximate: return "approximate";
  }
  return "?";
}

Plan make_plan(const PlanRequest& request, const Machine& machine) {
  const auto backend = make_backend(request.backend);
  const Graph inference = inference_graph(request.forward);
  Plan plan;
  {
    Candidate best;
    Order best_order = Order::as_written;
    if (request.training) {
      const TensorId loss = request.forward.find("loss");
      ensure(loss != kNoTensor, "the model ", request.forward.name, " has no loss");
      const Graph training = add_optimizer(differentiate(request.forward, loss), request.optimizer);
      for (Order order : all_orders()) {
        Candidate c = compile(reordered(training, order), inference, *backend, request);
        if (best.arena_bytes > 0 && c.arena_bytes >= best.arena_bytes) continue;
        best = std::move(c);
        best_order = order;
      }
      plan.techniques = {str_cat("order: ", name_of(best_order)), "in_place"};
    } else {
      best = compile({}, inference, *backend, request);
      plan.techniques = {"in_place"};
    }
    plan.train = std::move(best.train);
    plan.evaluate = std::move(best.evaluate);
    plan.arena_bytes = best.arena_bytes;
    plan.lower_bound_bytes = best.lower_bound_bytes;
  }
  const Program& main = request.training ? plan.train : plan.evaluate;
  describe_peak(plan, main);
  plan.predicted_step_seconds = predict_seconds(main.schedule, machine);
  start_threads();
  release_free_heap();
  // Planning itself may have needed more than the arena will: the peak remembers it.
  plan.fixed_bytes = round_up(std::max(resident_bytes() + kLateBytes,
                                       peak_resident_bytes() - plan.arena_bytes), 4 * kKiB);
  plan.process_bytes = plan.fixed_bytes + plan.arena_bytes;
  plan.smallest_budget_bytes = round_up(plan.process_bytes + kStartJitter, 64 * kKiB);
  plan.budget_bytes = request.budget_bytes;
  plan.fits = request.budget_bytes == 0 || plan.process_bytes <= request.budget_bytes;
  return plan;
}

}  // namespace thimble
