#include "planner/planner.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "backends/kernel_cache.h"
#include "base/bytes.h"
#include "base/process_memory.h"
#include "memory/check.h"
#include "planner/candidates.h"
#include "planner/footprint.h"
#include "planner/search_apart.h"
#include "transforms/microbatch.h"

namespace thimble {
namespace {

// Resident bytes differ by this much from one start of the program to the next.
constexpr int64_t kStartJitter = 512 * kKiB;
// And what planning itself takes, which depends on how many candidates were compiled.
constexpr int64_t kPlanningJitter = 1024 * kKiB;
// So much more may the kernels of another microbatch take, and its scratch.
constexpr int64_t kOtherKernels = 2048 * kKiB;
// A plan without a budget touches no more at a time to find out what it takes.
constexpr int64_t kMostTouched = 256 * kMiB;
constexpr int64_t kLeastTouched = 8 * kMiB;
constexpr size_t kPeakTensors = 8;

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

// How the weights lie that only the frozen part reads: it alone knows, and training steps do not
// run it.
std::vector<NamedLayout> layouts_of_unread(const Graph& training, const Graph& evaluation,
                                           Backend& backend) {
  std::vector<NamedLayout> layouts;
  make_schedule(evaluation, backend, layouts);
  for (const Node& node : training.nodes) {
    for (TensorId t : node.inputs) {
      if (t == kNoTensor) continue;
      std::erase_if(layouts,
                    [&](const NamedLayout& l) { return l.name == training.tensor(t).name; });
    }
  }
  return layouts;
}

void describe_peak(Plan& plan, const Program& program) {
  const MemoryPlan& m = program.memory;
  plan.by_category = bytes_at_step(m, m.peak_step);
  plan.peak_tensors = largest_at_step(program.schedule, m, m.peak_step, kPeakTensors);
  if (program.schedule.steps.empty()) return;
  const Step& step = program.schedule.steps[static_cast<size_t>(m.peak_step)];
  plan.peak_step = str_cat(name_of(step.phase), " ", step.op, " ", step.name);
}

void take_fixed_bytes(Plan& plan, int64_t bytes, int64_t budget_bytes) {
  plan.fixed_bytes = bytes;
  plan.process_bytes = plan.fixed_bytes + plan.arena_bytes;
  plan.budget_bytes = budget_bytes;
  plan.fits = budget_bytes == 0 || plan.process_bytes <= budget_bytes;
}

void measure_process(Plan& plan, const std::string& backend, const PlanRequest& request) {
  // A refusal keeps to the budget as well, if that is one.
  const int64_t room = request.budget_bytes - resident_bytes() - kPlanningJitter;
  const int64_t most_touched =
      request.budget_bytes > 0 ? std::max(room, kLeastTouched) : kMostTouched;
  plan.fixed_bytes = measure_fixed_bytes({&plan.train, &plan.evaluate}, plan.arena_bytes, backend,
                                         most_touched, request.warm_up);
  // Planning itself may have needed more than the arena will: the peak remembers it.
  const int64_t so_far = peak_resident_bytes() - plan.arena_bytes;
  take_fixed_bytes(plan, std::max(plan.fixed_bytes, so_far), request.budget_bytes);
}

int64_t smallest_budget(const Plan& plan) {
  const int64_t bytes =
      std::max(plan.process_bytes + kStartJitter, peak_resident_bytes() + kPlanningJitter);
  return round_up(bytes, 64 * kKiB);
}

// The plan of a training graph of so many microbatches, with the kernels that will run it. No
// graph: evaluation only, of so many parts of the batch.
Plan compile(const PlanRequest& request, const Machine& machine, const Candidate& candidate,
             const Graph* training) {
  KernelCache backend(make_backend(request.backend));
  std::vector<NamedLayout> layouts;
  Plan plan;
  plan.numerics = numerics_of(request, candidate);
  for (const Tensor& t : request.forward.tensors) {
    if (!t.trainable) continue;
    const int64_t trained = trained_shape(t).elements();
    plan.active_parameters += trained;
    plan.parameters += t.dense.rank() > 0 ? t.dense.elements() : trained;
  }
  const Graph evaluation = evaluation_graph(request, candidate);
  if (request.cached && training != nullptr) {
    layouts = layouts_of_unread(*training, evaluation, backend);
  }
  Schedule train;
  if (training != nullptr) train = make_schedule(*training, backend, layouts);
  plan.evaluate.schedule = make_schedule(evaluation, backend, layouts);
  const std::vector<Reservation> reservations = reservations_of(request, candidate.microbatches);
  Arenas best;
  // What has more live bytes than another takes placed need not be placed: that takes long.
  std::vector<std::pair<int64_t, Order>> orders;
  const auto persistent = place_persistent({&train, &plan.evaluate.schedule}, reservations);
  for (Order order : all_orders()) {
    if (training == nullptr && order != Order::as_written) continue;
    orders.emplace_back(live_bytes(reordered(train, order), persistent), order);
  }
  std::stable_sort(orders.begin(), orders.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  for (const auto& [bytes, order] : orders) {
    if (best.arena_bytes > 0 && bytes >= best.arena_bytes) continue;
    Schedule ordered = reordered(train, order);
    Arenas a = place(ordered, plan.evaluate.schedule, reservations);
    if (best.arena_bytes > 0 && a.arena_bytes >= best.arena_bytes) continue;
    best = std::move(a);
    plan.train.schedule = std::move(ordered);
    plan.techniques = {};
    plan.chosen.order = order;
    if (training != nullptr) plan.techniques.push_back(str_cat("order: ", name_of(order)));
  }
  plan.techniques.emplace_back("in_place");
  plan.train.memory = std::move(best.train);
  plan.evaluate.memory = std::move(best.evaluate);
  plan.arena_bytes = best.arena_bytes;
  plan.lower_bound_bytes = best.lower_bound_bytes;
  const Program& main = training != nullptr ? plan.train : plan.evaluate;
  // Where steps do not run the whole network, its evaluation may take more.
  const bool evaluation_is_larger =
      request.cached && plan.evaluate.memory.arena_bytes > main.memory.arena_bytes;
  describe_peak(plan, evaluation_is_larger ? plan.evaluate : main);
  plan.predicted_step_seconds = predict_seconds(main.schedule, machine);
  if (training != nullptr && request.looks_first) {
    const double once = predict_seconds(plan.evaluate.schedule, machine);
    plan.predicted_step_seconds += once * static_cast<double>(candidate.microbatches);
  }
  plan.paged_bytes = main.schedule.paged_bytes() * main.schedule.microbatches;
  return plan;
}

void describe_techniques(const PlanRequest& request, const Candidate& c, Plan& plan) {
  plan.promise = promise_of(request, c);
  plan.chosen = {c.microbatches, c.settings, c.recompute, plan.chosen.order};
  if (has_sparse_weights(request.forward)) {
    plan.techniques.push_back("sparse_weights: " + sparse_weights_text(request));
  }
  if (request.patches > 1) {
    plan.techniques.push_back(str_cat("patches: ", request.patches, " of each picture",
                                      request.looks_first ? ", looked at twice" : ""));
  }
  if (request.cached) plan.techniques.push_back(cached_text(request));
  if (c.microbatches > 1) {
    const bool ghost = reads_batch_statistics(request.forward);
    plan.techniques.push_back(str_cat("microbatch: ", c.microbatches, " of ",
                                      batch_of(request.forward) / c.microbatches,
                                      ghost ? " (ghost batch norm)" : ""));
  }
  for (const Setting& s : c.settings) plan.techniques.push_back(text_of(s));
  if (c.recompute) plan.techniques.emplace_back("recompute");
}

// What the candidate saves and costs beside the one that keeps everything, as far as is known
// before either runs.
void describe_trade(const Candidate& plain, const Candidate& c, const Machine& machine,
                    Plan& plan) {
  if (c.arena_bytes >= plain.arena_bytes) return;
  std::string text = str_cat("about ", format_bytes(plain.arena_bytes - c.arena_bytes), " less");
  if (machine != Machine{}) {
    const double more = 100 * (c.seconds / plain.seconds - 1);
    text += str_cat(more < 0 ? " and a predicted " : " for a predicted ",
                    static_cast<double>(std::lround(std::abs(more) * 10)) / 10,
                    more < 0 ? "% less time" : "% more time");
  }
  plan.techniques.push_back(text);
}

// The fastest candidate that fits, judged by its real memory plan and what the process then takes;
// otherwise the smallest one. As few as possible are compiled: what planning itself needs at most
// counts as well, and the system's peak never falls again.
Plan choose(const PlanRequest& request, const Machine& machine, const std::string& backend,
            const Candidates& candidates) {
  const auto compiled = [&](const Candidate& c) {
    const Rewrite training = training_graph(request, c);
    ensure(training.graph.has_value(), "a candidate refuses: ", training.refusal);
    Plan plan = compile(request, machine, c, &*training.graph);
    plan.predicted_snr_db = training.snr_db;
    describe_techniques(request, c, plan);
    describe_trade(candidates.plain, c, machine, plan);
    return plan;
  };
  const auto& all = candidates.useful;
  // Real plans are larger than estimates, by scratch and padded channels, and stand beside the
  // program itself: learnt from what was compiled.
  release_what_is_done();
  const int64_t resident = resident_bytes();
  std::map<std::string, int64_t> learnt;  // by what decides which kernels there are
  const auto beside = [&](const Candidate& c) -> int64_t& {
    return learnt.try_emplace(text_of(Numerics{c.microbatches, c.settings}), resident)
        .first->second;
  };
  Plan plan;
  const Candidate* compiled_last = nullptr;
  for (size_t i = 0; i < all.size(); ++i) {
    const bool last = i + 1 == all.size();
    const bool bounded = request.budget_bytes > 0;
    if (bounded && !last && all[i].arena_bytes + beside(all[i]) > request.budget_bytes) continue;
    plan = {};  // before the next is made: both at once would raise the peak
    plan = compiled(all[i]);
    measure_process(plan, backend, request);
    compiled_last = &all[i];
    beside(all[i]) = std::max(beside(all[i]), plan.process_bytes - all[i].arena_bytes);
    if (plan.fits) break;
  }
  // An estimate when it is not the plan itself: other parts and techniques have other kernels.
  const Candidate& smallest_one = all.back();
  const bool other = smallest_one.microbatches != compiled_last->microbatches ||
                     smallest_one.settings != compiled_last->settings;
  const int64_t smallest = smallest_one.arena_bytes +
                           std::max(beside(smallest_one), beside(*compiled_last)) +
                           (other ? kOtherKernels : 0);
  plan.smallest_budget_bytes =
      plan.fits ? std::min(smallest_budget(plan), round_up(smallest + kStartJitter, 64 * kKiB))
                : smallest_budget(plan);
  return plan;
}

// Examples do not depend on each other in evaluation: as many at a time as fit. Where one alone
// does not, techniques that also evaluate are tried, in the order of their options.
Plan choose_evaluation(const PlanRequest& request, const Machine& machine,
                       const std::string& backend) {
  const int64_t batch = batch_of(request.forward);
  Plan best;
  int64_t smallest = INT64_MAX;  // of all that were tried
  const auto try_next = [&](const Candidate& c) {
    best = {};  // before the next is made: both at once would raise the peak
    best = compile(request, machine, c, nullptr);
    best.promise = promise_of(request, {1, c.settings});
    for (const Setting& s : c.settings) best.techniques.push_back(text_of(s));
    measure_process(best, backend, request);
    smallest = std::min(smallest, smallest_budget(best));
  };
  for (int64_t count : equal_parts(request)) {
    if (!best.fits) try_next({count});
  }
  for (const Setting& s : settings_to_try(request)) {
    if (best.fits) break;
    if (!s.technique->evaluates) continue;
    if (s.technique->apply(inference_graph(request.forward), s.option).graph) {
      try_next({batch, {s}});
    }
  }
  best.smallest_budget_bytes = smallest;
  return best;
}

}  // namespace

Plan make_plan(PlanRequest request, const Machine& machine) {
  if (request.training) {
    Candidates candidates = search_apart(request, machine);
    return make_plan(std::move(request), machine, std::move(candidates));
  }
  return choose_evaluation(request, machine, make_backend(request.backend)->name());
}

Plan make_plan(PlanRequest request, const Machine& machine, Candidates candidates) {
  const std::string backend = make_backend(request.backend)->name();
  Plan plan = choose(request, machine, backend, candidates);
  request.forward = {};
  candidates = {};
  // Without the graphs it takes less. What fitted with them still does.
  const bool fitted = plan.fits;
  const int64_t fixed_bytes = plan.fixed_bytes;
  measure_process(plan, backend, request);
  if (fitted && !plan.fits) take_fixed_bytes(plan, fixed_bytes, request.budget_bytes);
  if (fitted) {
    plan.smallest_budget_bytes = std::min(plan.smallest_budget_bytes, smallest_budget(plan));
  }
  return plan;
}

}  // namespace thimble
