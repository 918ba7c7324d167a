#include "planner/planner.h"

#include <algorithm>
#include <cmath>

#include "backends/kernel_cache.h"
#include "base/bytes.h"
#include "base/process_memory.h"
#include "memory/check.h"
#include "planner/candidates.h"
#include "planner/footprint.h"
#include "transforms/microbatch.h"

namespace thimble {
namespace {

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

Arenas place(const Schedule& train, const Schedule& evaluate,
             const std::vector<Reservation>& reservations) {
  Arenas a;
  const auto persistent = place_persistent({&train, &evaluate}, reservations);
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

void describe_peak(Plan& plan, const Program& program) {
  const MemoryPlan& m = program.memory;
  plan.by_category = bytes_at_step(m, m.peak_step);
  plan.peak_tensors = largest_at_step(program.schedule, m, m.peak_step, kPeakTensors);
  if (program.schedule.steps.empty()) return;
  const Step& step = program.schedule.steps[static_cast<size_t>(m.peak_step)];
  plan.peak_step = str_cat(name_of(step.phase), " ", step.op, " ", step.name);
}

void measure_process(Plan& plan, const std::string& backend, const PlanRequest& request) {
  plan.fixed_bytes = measure_fixed_bytes({&plan.train, &plan.evaluate}, plan.arena_bytes, backend,
                                         request.warm_up);
  // Planning itself may have needed more than the arena will: the peak remembers it.
  plan.fixed_bytes = std::max(plan.fixed_bytes, peak_resident_bytes() - plan.arena_bytes);
  plan.process_bytes = plan.fixed_bytes + plan.arena_bytes;
  plan.budget_bytes = request.budget_bytes;
  plan.fits = request.budget_bytes == 0 || plan.process_bytes <= request.budget_bytes;
}

int64_t smallest_budget(const Plan& plan) {
  return round_up(plan.process_bytes + kStartJitter, 64 * kKiB);
}

// Turns candidates into plans. Kernels are made once for all candidates with the same microbatch.
class Compiler {
 public:
  Compiler(const PlanRequest& request, const Machine& machine, int64_t microbatches = 1)
      : request_(request),
        machine_(machine),
        microbatches_(microbatches),
        backend_(make_backend(request.backend)) {}

  int64_t microbatches() const { return microbatches_; }

  // No graph: evaluation only.
  Plan compile(const Graph* training) {
    Plan plan;
    plan.microbatches = microbatches_;
    const int64_t batch = batch_of(request_.forward) / microbatches_;
    std::vector<Reservation> reservations;
    if (request_.reservations) reservations = request_.reservations(batch);
    Schedule train;
    if (training != nullptr) train = make_schedule(*training, backend_, layouts_);
    plan.evaluate.schedule =
        make_schedule(inference_graph(with_batch(request_.forward, batch)), backend_, layouts_);
    Arenas best;
    for (Order order : all_orders()) {
      if (training == nullptr && order != Order::as_written) continue;
      Schedule ordered = reordered(train, order);
      Arenas a = place(ordered, plan.evaluate.schedule, reservations);
      if (best.arena_bytes > 0 && a.arena_bytes >= best.arena_bytes) continue;
      best = std::move(a);
      plan.train.schedule = std::move(ordered);
      plan.techniques = {};
      if (training != nullptr) plan.techniques.push_back(str_cat("order: ", name_of(order)));
    }
    plan.techniques.emplace_back("in_place");
    plan.train.memory = std::move(best.train);
    plan.evaluate.memory = std::move(best.evaluate);
    plan.arena_bytes = best.arena_bytes;
    plan.lower_bound_bytes = best.lower_bound_bytes;
    const Program& main = training != nullptr ? plan.train : plan.evaluate;
    describe_peak(plan, main);
    plan.predicted_step_seconds = predict_seconds(main.schedule, machine_);
    return plan;
  }

 private:
  const PlanRequest& request_;
  const Machine& machine_;
  int64_t microbatches_;
  KernelCache backend_;
  std::vector<NamedLayout> layouts_;
};

void describe_techniques(const PlanRequest& request, const Candidate& c, Plan& plan) {
  if (c.microbatches > 1) {
    const bool ghost = reads_batch_statistics(request.forward);
    plan.promise = ghost ? Promise::approximate : Promise::same_math;
    plan.techniques.push_back(str_cat("microbatch: ", c.microbatches, " of ",
                                      batch_of(request.forward) / c.microbatches,
                                      ghost ? str_cat(" (", kGhostBatchNorm, ")") : ""));
  }
  if (c.recompute) plan.techniques.emplace_back("recompute");
}

// What the plan saves and costs beside the one that keeps everything.
void describe_trade(int64_t plain_bytes, double plain_seconds, Plan& plan) {
  if (plan.arena_bytes >= plain_bytes) return;
  std::string text = str_cat(format_bytes(plain_bytes - plan.arena_bytes), " less");
  if (plain_seconds > 0) {
    const double more = 100 * (plan.predicted_step_seconds / plain_seconds - 1);
    text += str_cat(" for a predicted ", static_cast<double>(std::lround(more * 10)) / 10,
                    "% more time");
  }
  plan.techniques.push_back(text);
}

// The fastest candidate that fits, judged by its real memory plan; otherwise the smallest one.
Plan choose(const PlanRequest& request, const Machine& machine, const std::string& backend) {
  const auto candidates = find_candidates(request, machine);
  std::optional<Compiler> compiler;
  const auto compiled = [&](const Candidate& c) {
    if (!compiler || compiler->microbatches() != c.microbatches) {
      compiler.emplace(request, machine, c.microbatches);
    }
    const Graph graph = training_graph(request, c);
    Plan plan = compiler->compile(&graph);
    describe_techniques(request, c, plan);
    return plan;
  };
  // What the search itself holds would be counted as the run's.
  const auto measured = [&](Plan& plan) {
    compiler.reset();
    measure_process(plan, backend, request);
  };
  const auto [plain_bytes, plain_seconds] = [&] {
    const Plan p = compiled({std::max<int64_t>(request.microbatches, 1), std::nullopt, 0, 0});
    return std::pair{p.arena_bytes, p.predicted_step_seconds};
  }();
  Plan best = compiled(candidates.back());
  measured(best);
  const int64_t smallest = smallest_budget(best);
  // Real plans are a little larger than estimates: scratch, padded channels.
  int64_t surplus = best.arena_bytes - candidates.back().arena_bytes;
  for (const Candidate& c : candidates) {
    const int64_t room = request.budget_bytes - best.fixed_bytes;
    if (request.budget_bytes > 0 && c.arena_bytes + surplus > room) continue;
    Plan plan = compiled(c);
    if (request.budget_bytes > 0 && plan.arena_bytes > room) {
      surplus = std::max(surplus, plan.arena_bytes - c.arena_bytes);
      continue;
    }
    measured(plan);
    if (!plan.fits) {
      surplus = std::max(surplus, plan.process_bytes - best.fixed_bytes - c.arena_bytes);
      continue;
    }
    best = std::move(plan);
    break;
  }
  describe_trade(plain_bytes, plain_seconds, best);
  best.smallest_budget_bytes = smallest;
  return best;
}

// Examples do not depend on each other in evaluation: as many at a time as fit.
Plan choose_evaluation(const PlanRequest& request, const Machine& machine,
                       const std::string& backend) {
  const int64_t batch = batch_of(request.forward);
  const auto compiled = [&](int64_t count) {
    Plan plan = Compiler(request, machine, count).compile(nullptr);
    measure_process(plan, backend, request);
    return plan;
  };
  Plan best = compiled(1);
  int64_t smallest = smallest_budget(best);
  for (int64_t count = 2; count <= batch && !best.fits; ++count) {
    if (batch % count != 0) continue;
    best = compiled(count);
    smallest = std::min(smallest, smallest_budget(best));
  }
  best.smallest_budget_bytes = smallest;
  return best;
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

std::vector<std::pair<std::string, std::string>> approximations() {
  return {
      {kGhostBatchNorm, "split the batch although batch norm then sees a part of it at a time"}};
}

Plan make_plan(PlanRequest request, const Machine& machine) {
  const std::string backend = make_backend(request.backend)->name();
  Plan plan = request.training ? choose(request, machine, backend)
                               : choose_evaluation(request, machine, backend);
  // Without the graphs and kernels of the search, it takes less. What fitted with them stays.
  request.forward = {};
  const bool fitted = plan.fits;
  measure_process(plan, backend, request);
  plan.fits = plan.fits || fitted;
  if (plan.fits) {
    plan.smallest_budget_bytes = std::min(plan.smallest_budget_bytes, smallest_budget(plan));
  }
  return plan;
}

}  // namespace thimble
