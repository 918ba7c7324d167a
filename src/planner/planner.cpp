#include "planner/planner.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/parallel.h"
#include "base/process_memory.h"
#include "memory/check.h"

namespace thimble {
namespace {

// Pages that a run touches after planning: the code of kernels and libraries, checkpoint files, and
// a little for each tensor that these hold. Measured over the zoo; see experiments/process-bytes.
constexpr int64_t kLateBytesOneDnn = 3840 * kKiB;
#ifdef THIMBLE_HAS_ONEDNN
constexpr int64_t kLateBytesPortable = 1728 * kKiB;  // shared libraries come back in larger pieces
#else
constexpr int64_t kLateBytesPortable = 768 * kKiB;  // one static program
#endif
constexpr int64_t kLateBytesPerTensor = 576;
// What reading rows takes, when no data was named that could be tried.
constexpr int64_t kReadingBytes = 512 * kKiB;
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

// Gives the programs one arena: the same weights at the same places, other bytes shared.
struct Arenas {
  MemoryPlan train, evaluate;
  int64_t arena_bytes = 0;
  int64_t lower_bound_bytes = 0;
};

Arenas place(const Schedule& train, const Schedule& evaluate, const PlanRequest& request) {
  Arenas a;
  const auto persistent = place_persistent({&train, &evaluate}, request.reservations);
  const auto add = [&](const Schedule& schedule, MemoryPlan& memory) {
    memory = plan_memory(schedule, persistent);
    check_plan(schedule, memory);
    const int64_t staged = memory.persistent_bytes + staging_bytes(schedule);
    a.arena_bytes = std::max({a.arena_bytes, memory.arena_bytes, staged});
    a.lower_bound_bytes = std::max({a.lower_bound_bytes, memory.lower_bound_bytes, staged});
  };
  add(train, a.train);
  add(evaluate, a.evaluate);
  return a;
}

// Kernels are made once; orders only move them.
void schedule_programs(const PlanRequest& request, Backend& backend, Plan& plan) {
  std::vector<NamedLayout> layouts;
  Schedule train;
  if (request.training) {
    const TensorId loss = request.forward.find("loss");
    ensure(loss != kNoTensor, "the model ", request.forward.name, " has no loss");
    train = make_schedule(add_optimizer(differentiate(request.forward, loss), request.optimizer),
                          backend, layouts);
  }
  plan.evaluate.schedule = make_schedule(inference_graph(request.forward), backend, layouts);
  Arenas best;
  Order best_order = Order::as_written;
  for (Order order : all_orders()) {
    if (!request.training && order != Order::as_written) continue;
    Arenas a = place(reordered(train, order), plan.evaluate.schedule, request);
    if (best.arena_bytes > 0 && a.arena_bytes >= best.arena_bytes) continue;
    best = std::move(a);
    best_order = order;
  }
  plan.train = {reordered(train, best_order), std::move(best.train)};
  plan.evaluate.memory = std::move(best.evaluate);
  plan.arena_bytes = best.arena_bytes;
  plan.lower_bound_bytes = best.lower_bound_bytes;
  if (request.training) plan.techniques.push_back(str_cat("order: ", name_of(best_order)));
  plan.techniques.push_back("in_place");
}

// Starts the threads that will run the kernels and touches what they will use of their stacks, so
// that it is resident and counted.
void start_threads() {
  parallel_for(thread_count(), 1, [](int64_t, int64_t) {
    std::array<volatile char, 24 * kKiB> stack;
    for (size_t i = 0; i < stack.size(); i += 512) stack[i] = 0;
  });
}

int64_t late_bytes(const PlanRequest& request, const Schedule& schedule) {
  const int64_t reading = request.warm_up ? 0 : kReadingBytes;
  const auto tensors = std::count_if(schedule.buffers.begin(), schedule.buffers.end(),
                                     [](const Buffer& b) { return b.persistent; });
  const bool portable = make_backend(request.backend)->name() == "portable";
  return (portable ? kLateBytesPortable : kLateBytesOneDnn) + kLateBytesPerTensor * tensors +
         reading;
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
    case Promise::bit_exact:
      return "bit_exact";
    case Promise::same_math:
      return "same_math";
    case Promise::approximate:
      return "approximate";
  }
  return "?";
}

Plan make_plan(PlanRequest request, const Machine& machine) {
  Plan plan;
  schedule_programs(request, *make_backend(request.backend), plan);
  request.forward = {};
  const Program& main = request.training ? plan.train : plan.evaluate;
  describe_peak(plan, main);
  plan.predicted_step_seconds = predict_seconds(main.schedule, machine);
  start_threads();
  release_what_is_done();
  if (request.warm_up) request.warm_up();
  release_free_heap();
  // Planning itself may have needed more than the arena will: the peak remembers it.
  plan.fixed_bytes = round_up(std::max(resident_bytes() + late_bytes(request, main.schedule),
                                       peak_resident_bytes() - plan.arena_bytes),
                              4 * kKiB);
  plan.process_bytes = plan.fixed_bytes + plan.arena_bytes;
  plan.smallest_budget_bytes = round_up(plan.process_bytes + kStartJitter, 64 * kKiB);
  plan.budget_bytes = request.budget_bytes;
  plan.fits = request.budget_bytes == 0 || plan.process_bytes <= request.budget_bytes;
  return plan;
}

}  // namespace thimble
