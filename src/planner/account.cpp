#include "planner/account.h"

#include <algorithm>
#include <utility>

#include "backends/kernel_cache.h"
#include "base/bytes.h"
#include "planner/build.h"
#include "transforms/core/again.h"
#include "transforms/microbatch.h"

namespace thimble {
namespace {

// A step of the backward pass makes a tensor with this behind its name.
bool makes(const Schedule& schedule, const Step& step, const char* suffix) {
  if (step.phase != Phase::backward) return false;
  return std::any_of(step.outputs.begin(), step.outputs.end(), [&](BufferId b) {
    return b != kNoBuffer && schedule.buffer(b).name.find(suffix) != std::string::npos;
  });
}

// "19 made from what lies behind them" (transforms/invert.h); empty when none is.
std::string steps_rebuilt(const Schedule& schedule) {
  const auto count =
      std::count_if(schedule.steps.begin(), schedule.steps.end(),
                    [&](const Step& step) { return makes(schedule, step, kRebuilt); });
  return count > 0 ? str_cat(count, " made from what lies behind them") : "";
}

// "83 runs again of 111 forward steps: stage1 22, stage2 30", by the first part of layers' names,
// in the order of the forward pass.
std::string steps_again(const Schedule& schedule) {
  constexpr size_t kMostParts = 8;
  int64_t forward = 0, again = 0;
  std::vector<std::pair<std::string, int64_t>> parts;
  const auto part_of = [&](const Step& step) -> int64_t& {
    const std::string part = step.name.substr(0, step.name.find('.'));
    auto it =
        std::find_if(parts.begin(), parts.end(), [&](const auto& p) { return p.first == part; });
    if (it == parts.end()) it = parts.insert(parts.end(), {part, 0});
    return it->second;
  };
  for (const Step& step : schedule.steps) {
    if (step.paging != Paging::none) continue;
    if (step.phase == Phase::forward) {
      ++forward;
      part_of(step);
    } else if (makes(schedule, step, kAgain)) {
      ++again;
      ++part_of(step);
    }
  }
  std::erase_if(parts, [](const auto& p) { return p.second == 0; });
  std::string text = str_cat(again, " runs again of ", forward, " forward steps: ");
  for (size_t i = 0; i < parts.size() && i < kMostParts; ++i) {
    text += str_cat(i > 0 ? ", " : "", parts[i].first, ' ', parts[i].second);
  }
  return parts.size() > kMostParts ? text + ", ..." : text;
}

// "12 tensors, 231 MiB: stage1.block1.conv1, ...", the largest first.
std::string pages_of(const Schedule& schedule) {
  constexpr size_t kMostNames = 3;
  std::vector<const Buffer*> pages;
  for (const Step& step : schedule.steps) {
    if (step.paging == Paging::start_write) pages.push_back(&schedule.buffer(step.inputs[0]));
  }
  std::stable_sort(pages.begin(), pages.end(),
                   [](const Buffer* a, const Buffer* b) { return a->bytes > b->bytes; });
  std::string text =
      str_cat(pages.size(), " tensors, ", format_bytes(schedule.paged_bytes()), ": ");
  for (size_t i = 0; i < pages.size() && i < kMostNames; ++i) {
    text += str_cat(i > 0 ? ", " : "", pages[i]->name);
  }
  return pages.size() > kMostNames ? text + ", ..." : text;
}

class Accountant {
 public:
  Accountant(const PlanRequest& request, const Machine& machine)
      : request_(request), machine_(machine) {}

  // Books the change from the last schedule to this one.
  void book(const std::string& name, const std::string& where, const Candidate& c,
            const Schedule& schedule) {
    const auto persistent =
        place_persistent({&schedule}, reservations_of(request_, c.microbatches));
    const int64_t bytes = live_bytes(schedule, persistent);
    const double seconds = predict_seconds(schedule, machine_);
    if (!name.empty()) shares_.push_back({name, where, bytes_ - bytes, seconds - seconds_});
    bytes_ = bytes;
    seconds_ = seconds;
  }

  Schedule schedule_of(const Candidate& c) { return schedule_of(c, request_); }
  Schedule schedule_of(const Candidate& c, const PlanRequest& request) {
    const Rewrite rewritten = training_graph(request, c);
    ensure(rewritten.graph.has_value(), "a part of a plan refuses: ", rewritten.refusal);
    std::vector<NamedLayout> layouts;
    return make_schedule(*rewritten.graph, backend_, layouts);
  }

  // What costs nothing is always used; where it changes nothing there is nothing to say. Returns
  // the schedule with all of it.
  Schedule book_free_techniques() {
    PlanRequest request = request_;
    std::vector<std::string>& without = request.without;
    for (const Technique* t : techniques()) {
      if (t->free) without.push_back(t->name);
    }
    Schedule schedule = schedule_of({}, request);
    Schedule apart = schedule;
    for (Step& step : apart.steps) step.in_place = {};
    book("", "", {}, apart);
    book("in_place", "outputs over inputs that nobody reads again", {}, schedule);
    for (const Technique* t : techniques()) {
      if (!t->free || std::count(without.begin(), without.end(), t->name) > 1) continue;
      std::erase(without, t->name);
      schedule = schedule_of({}, request);
      book(t->name, t->summary, {}, schedule);
      if (shares_.back().saved_bytes == 0 && shares_.back().cost_seconds == 0) shares_.pop_back();
    }
    return schedule;
  }

  // Beside dense weights, whose bytes are known without their graph.
  void book_sparse_weights() {
    int64_t saved = 0;
    for (const Tensor& t : request_.forward.tensors) {
      if (t.name.ends_with(kActive)) saved -= t.shape.elements();
      if (t.dense.rank() > 0) saved += 4 * (t.dense.elements() - t.shape.elements());
    }
    shares_.push_back({"sparse_weights", sparse_weights_text(request_), saved, 0});
  }

  // Beside steps that run the frozen part as well. Its evaluation still does.
  void book_cached_features() {
    PlanRequest whole = request_;
    whole.cached.reset();
    const std::vector<Reservation> reservations = reservations_of(request_, 1);
    const Schedule before = schedule_of({}, whole), after = schedule_of({});
    std::vector<NamedLayout> layouts;
    const Schedule evaluation = make_schedule(evaluation_graph(request_, {}), backend_, layouts);
    const auto persistent = place_persistent({&after, &evaluation}, reservations);
    const int64_t bytes =
        std::max(live_bytes(after, persistent), live_bytes(evaluation, persistent));
    const std::string text = cached_text(request_);
    shares_.push_back({"cached_features", text.substr(text.find(": ") + 2),
                       live_bytes(before, place_persistent({&before}, reservations)) - bytes,
                       predict_seconds(after, machine_) - predict_seconds(before, machine_)});
  }

  std::vector<Share> shares() { return std::move(shares_); }

 private:
  const PlanRequest& request_;
  const Machine& machine_;
  KernelCache backend_{make_backend("portable")};
  int64_t bytes_ = 0;
  double seconds_ = 0;
  std::vector<Share> shares_;
};

}  // namespace

bool runs_again(const Schedule& schedule, const Step& step) {
  return makes(schedule, step, kAgain) || makes(schedule, step, kRebuilt);
}

std::vector<Share> account_for(const PlanRequest& request, const Candidate& candidate, Order order,
                               const Machine& machine) {
  Accountant accountant(request, machine);
  if (has_sparse_weights(request.forward)) accountant.book_sparse_weights();
  if (request.cached) accountant.book_cached_features();
  Schedule schedule = accountant.book_free_techniques();
  Candidate parts;
  accountant.book("order", name_of(order), parts, reordered(schedule, order));
  const auto add = [&](const std::string& name, const std::string& where) {
    accountant.book(name, where, parts, reordered(accountant.schedule_of(parts), order));
  };
  if (candidate.microbatches > 1) {
    parts.microbatches = candidate.microbatches;
    add("microbatch", str_cat(parts.microbatches, " of ",
                              batch_of(request.forward) / parts.microbatches, " examples"));
  }
  for (const Setting& s : candidate.settings) {
    parts.settings.push_back(s);
    const bool before = !steps_rebuilt(schedule).empty();
    schedule = accountant.schedule_of(parts);
    const std::string rebuilt = before ? "" : steps_rebuilt(schedule);
    add(text_of(s), s.technique->uses_storage ? pages_of(schedule) : rebuilt);
  }
  if (candidate.recompute) {
    parts.recompute = candidate.recompute;
    add("recompute", steps_again(accountant.schedule_of(parts)));
  }
  return accountant.shares();
}

}  // namespace thimble
