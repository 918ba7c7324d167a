#include "planner/local_search.h"

#include <algorithm>
#include <cmath>

namespace thimble {
namespace {

// Of the drops at a peak, the most promising are looked at.
constexpr size_t kLookedAt = 6;
// The search is for so many amounts of memory at least.
constexpr int64_t kShares = 12;
// Less is noise of adding up seconds.
constexpr double kFaster = 1 - 1e-9;

// As a multiple of the time that keeping everything takes, nobody wants more.
constexpr double kTooLong = 3;

RecomputePlan plan_of(Runs runs) {
  RecomputePlan plan;
  plan.runs = std::move(runs);
  return plan;
}

}  // namespace

LocalSearch::LocalSearch(const Graph& training, RunModel& model, int64_t most_looks)
    : training_(training), model_(model), most_looks_(most_looks), looks_left_(most_looks) {
  Runs runs;
  for (size_t n = 0; n < training.nodes.size(); ++n) {
    const Node& node = training.nodes[n];
    const bool runs_here = node.phase == Phase::forward || node.gradient_of >= 0;
    if (runs_here) runs.push_back({Run::Kind::first, static_cast<int32_t>(n)});
  }
  all_kept_ = look_at(std::move(runs));
  largest_ = all_kept_.cost.arena_bytes;
  too_long_ = kTooLong * all_kept_.cost.seconds;
}

bool LocalSearch::is_useful(const RunModel::Cost& cost) const {
  // Those that are at least as small come first: is one of them at least as fast?
  const auto behind = found_.upper_bound(cost.arena_bytes);
  return behind == found_.begin() || std::prev(behind)->second.seconds > cost.seconds;
}

void LocalSearch::keep(const RunModel::Cost& cost, RecomputePlan plan) {
  auto first = found_.lower_bound(cost.arena_bytes);
  auto last = first;
  while (last != found_.end() && last->second.seconds >= cost.seconds) ++last;
  found_.erase(first, last);
  ++changes_;
  found_[cost.arena_bytes] = {cost.seconds, std::move(plan)};
}

void LocalSearch::offer(RecomputePlan plan) {
  Runs runs = runs_of(training_, plan);
  const RunModel::Cost cost = model_.cost(runs);
  if (is_useful(cost)) keep(cost, std::move(plan));
}

LocalSearch::State LocalSearch::look_at(Runs runs) {
  State state{std::move(runs), {}};
  state.cost = model_.cost(state.runs);
  --looks_left_;
  if (is_useful(state.cost)) keep(state.cost, plan_of(state.runs));
  return state;
}

LocalSearch::State LocalSearch::begin_from(int64_t bytes) {
  auto best = found_.upper_bound(bytes);
  if (best != found_.begin()) --best;
  return {runs_of(training_, best->second.plan), {best->first, best->second.seconds}};
}

bool LocalSearch::fit(State& state, int64_t bytes, double limit, TensorId tensor) {
  while (state.cost.arena_bytes > bytes) {
    if (looks_left_ <= looks_kept_ || state.cost.seconds >= limit) return false;
    model_.cost(state.runs);  // the last list is asked for its peak
    --looks_left_;
    const double before = model_.excess(bytes);
    std::vector<RunModel::Move> moves = model_.moves(state.runs);
    const auto wanted = static_cast<double>(state.cost.arena_bytes - bytes);
    const auto gain = [&](const RunModel::Move& d) {
      return std::min(static_cast<double>(d.bytes), wanted) / (d.seconds + 1e-12);
    };
    // Even at the best rate of all it would take too long.
    double rate = 0;
    for (const auto& d : moves) {
      if (tensor != kNoTensor && d.tensor == tensor) continue;
      rate = std::max(rate, static_cast<double>(d.bytes) / (d.seconds + 1e-12));
    }
    if (rate == 0 || state.cost.seconds + wanted / rate >= limit) return false;
    std::stable_sort(moves.begin(), moves.end(),
                     [&](const auto& a, const auto& b) { return gain(a) > gain(b); });
    State best;
    double best_gain = 0;
    size_t looked_at = 0;
    for (const RunModel::Move& d : moves) {
      if ((tensor != kNoTensor && d.tensor == tensor) || state.cost.seconds + d.seconds >= limit)
        continue;
      if (looked_at++ == kLookedAt) break;
      State next = look_at(RunModel::moved(state.runs, d));
      const double less = before - model_.excess(bytes);
      const double more = std::max(next.cost.seconds - state.cost.seconds, 0.0);
      if (less <= 0 || less / (more + 1e-12) <= best_gain) continue;
      best_gain = less / (more + 1e-12);
      best = std::move(next);
    }
    if (best_gain == 0) return false;
    state = std::move(best);
  }
  return state.cost.seconds < limit;
}

// One second run less, or others that are faster: all of them in turn, the dearest first.
bool LocalSearch::take_back(State& state, int64_t bytes) {
  Runs again;
  for (const Run& r : state.runs) {
    if (r.kind == Run::Kind::again) again.push_back(r);
  }
  std::stable_sort(again.begin(), again.end(), [&](const Run& a, const Run& b) {
    return model_.seconds_again(a.node) > model_.seconds_again(b.node);
  });
  bool faster = false;
  for (const Run& r : again) {
    if (looks_left_ <= looks_kept_) return false;
    const auto here = std::find(state.runs.begin(), state.runs.end(), r);
    if (here == state.runs.end()) continue;
    Runs runs = state.runs;
    runs.erase(runs.begin() + (here - state.runs.begin()));
    State next = look_at(std::move(runs));
    const TensorId tensor = training_.nodes[static_cast<size_t>(r.node)].outputs[0];
    if (!fit(next, bytes, state.cost.seconds * kFaster, tensor)) continue;
    state = std::move(next);
    faster = true;
  }
  return faster;
}

void LocalSearch::improve(int64_t bytes) {
  State state = begin_from(bytes);
  const bool fits = fit(state, bytes, too_long_);
  // What is too large by little may be the better beginning.
  if (const auto larger = found_.upper_bound(bytes); larger != found_.end()) {
    State other{runs_of(training_, larger->second.plan), {larger->first, larger->second.seconds}};
    const double limit = fits ? state.cost.seconds * kFaster : too_long_;
    if (fit(other, bytes, limit)) state = std::move(other);
  }
  if (state.cost.arena_bytes > bytes) return;
  while (take_back(state, bytes)) {
  }
}

// Below the smallest known, as far as it goes.
void LocalSearch::make_smaller() {
  for (int64_t parts = 64; parts <= 1024 && looks_left_ > looks_kept_;) {
    const int64_t smallest = found_.begin()->first;
    improve(smallest - smallest / parts);
    if (found_.begin()->first == smallest) parts *= 4;
  }
}

// From a plan of more bytes, every move in turn and what follows from it.
void LocalSearch::try_all_moves(State start, int64_t bytes) {
  model_.cost(start.runs);
  const std::vector<RunModel::Move> moves = model_.moves(start.runs);
  for (const RunModel::Move& move : moves) {
    if (looks_left_ <= looks_kept_) return;
    State state = look_at(RunModel::moved(start.runs, move));
    const State best = begin_from(bytes);
    const double limit = best.cost.arena_bytes <= bytes ? best.cost.seconds * kFaster : too_long_;
    if (!fit(state, bytes, limit)) continue;
    while (take_back(state, bytes)) {
    }
  }
}

void LocalSearch::run() {
  const int64_t share = looks_left_ / kShares;
  const auto with_share = [&](const auto& part) {
    looks_kept_ = std::max(looks_left_ - share, int64_t{0});
    part();
  };
  with_share([&] {
    State state = all_kept_;
    while (fit(state, state.cost.arena_bytes - std::max(largest_ / 256, int64_t{1}), too_long_)) {
    }
  });
  // Large to small, as what was found for more bytes is where the next begins; then in between.
  bool better = true;
  for (int64_t parts = 16; better && looks_left_ > 0; parts *= 2) {
    const auto before = changes_;
    for (int64_t i = parts - 1; i > 0 && looks_left_ > 0; i -= parts == 16 ? 1 : 2) {
      const int64_t smallest = found_.begin()->first;
      // Closer where bytes are few and time is long.
      const double part = std::pow(static_cast<double>(i) / static_cast<double>(parts), 1.5);
      const auto more = static_cast<int64_t>(part * static_cast<double>(largest_ - smallest));
      with_share([&] { improve(smallest + more); });
    }
    with_share([&] { make_smaller(); });
    better = changes_ > before;
  }
  // A small network is through by now: every first move from every plan.
  better = true;
  while (better && looks_left_ > 0) {
    const auto before = changes_;
    looks_kept_ = 0;
    std::vector<int64_t> known;
    for (const auto& [bytes, found] : found_) known.push_back(bytes);
    known.push_back(largest_);
    for (size_t i = 0; i + 1 < known.size(); ++i) {
      const int64_t bytes = i == 0 ? known[0] - 64 : known[i];
      for (size_t from = i + 1; from < std::min(i + 4, known.size()); ++from) {
        try_all_moves(begin_from(known[from]), bytes);
      }
      try_all_moves(begin_from(known[i]), known[i] - 64);
      try_all_moves(all_kept_, bytes);
    }
    better = changes_ > before;
  }
}

}  // namespace thimble
