#include <algorithm>
#include <cmath>
#include <deque>
#include <memory>
#include <sstream>
#include <utility>

#include "base/child_task.h"
#include "base/process_memory.h"
#include "planner/search_apart.h"
#include "runtime/setup.h"

namespace thimble {
namespace {

// Children at a time: planning uses one thread.
constexpr int kMostChildren = 4;

// A point as one text, from a child to its parent.
std::string pack(const FrontierPoint& p) {
  std::ostringstream out;
  out.precision(17);
  out << p.process_bytes << ' ' << p.arena_bytes << ' ' << p.predicted_step_seconds << ' '
      << p.promise;
  for (const std::string& t : p.techniques) out << '\n' << t;
  return out.str();
}

FrontierPoint unpack(const std::string& text) {
  FrontierPoint p;
  p.planned = true;
  std::istringstream in(text);
  in >> p.process_bytes >> p.arena_bytes >> p.predicted_step_seconds >> p.promise;
  ensure(static_cast<bool>(in), "a child sent no point: ", text);
  std::string line;
  std::getline(in, line);
  while (std::getline(in, line)) p.techniques.push_back(line);
  return p;
}

// As a fresh process would plan the candidate; runs in a child.
FrontierPoint planned(const Setup& setup, const Candidates& all, size_t i, int64_t peak_before) {
  const Plan plan = make_plan(setup.request, setup.machine, {all.plain, {all.useful[i]}});
  PlanReport r = report_of(plan);
  // What it saves beside the plain plan: a frontier shows that by itself.
  std::erase_if(r.techniques, [](const std::string& t) { return t.starts_with("about "); });
  // A child's own peak begins at the fork: what this process took before counts as well.
  return {true,          std::max(r.process_bytes, peak_before),
          r.arena_bytes, r.predicted_step_seconds,
          r.promise,     r.techniques};
}

// The first, the last and, in turn, the one that is farthest from those chosen: points that are
// spread over the curve. Logarithms, as both bytes and time are compared by ratios.
std::vector<size_t> spread(const std::vector<Candidate>& all, int count) {
  std::vector<size_t> chosen = {0};
  if (all.size() > 1) chosen.push_back(all.size() - 1);
  const auto bytes = [&](size_t i) { return std::log(static_cast<double>(all[i].arena_bytes)); };
  const auto seconds = [&](size_t i) { return std::log(all[i].seconds); };
  const double byte_range = std::max(bytes(0) - bytes(all.size() - 1), 1e-9);
  const double second_range = std::max(seconds(all.size() - 1) - seconds(0), 1e-9);
  std::vector<double> apart(all.size(), 1e9);
  const auto note = [&](size_t from) {
    for (size_t i = 0; i < all.size(); ++i) {
      apart[i] = std::min(apart[i], std::hypot((bytes(i) - bytes(from)) / byte_range,
                                               (seconds(i) - seconds(from)) / second_range));
    }
  };
  for (size_t i : chosen) note(i);
  while (std::ssize(chosen) < count) {
    const auto farthest = std::max_element(apart.begin(), apart.end());
    if (*farthest <= 0) break;
    chosen.push_back(static_cast<size_t>(farthest - apart.begin()));
    note(chosen.back());
  }
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

std::vector<FrontierPoint> plan_all(const Setup& setup, const Candidates& all,
                                    const std::vector<size_t>& chosen) {
  release_what_is_done();
  const int64_t peak_before = peak_resident_bytes();
  const auto children = static_cast<size_t>(std::min(usual_threads(0), kMostChildren));
  std::deque<std::unique_ptr<ChildTask>> running;
  std::vector<FrontierPoint> points;
  for (size_t next = 0; points.size() < chosen.size();) {
    while (next < chosen.size() && running.size() < children) {
      const size_t i = chosen[next++];
      running.push_back(std::make_unique<ChildTask>(
          [&, i] { return pack(planned(setup, all, i, peak_before)); }));
    }
    points.push_back(unpack(running.front()->result()));
    running.pop_front();
  }
  return points;
}

// A candidate that was not compiled, from the planned ones before and behind it: what their real
// plans have beside their estimates.
FrontierPoint estimated(const PlanRequest& request, const Candidate& c, double share,
                        const std::pair<const Candidate&, const FrontierPoint&>& before,
                        const std::pair<const Candidate&, const FrontierPoint&>& behind) {
  const auto between = [&](auto value) {
    return (1 - share) * static_cast<double>(value(before.first, before.second)) +
           share * static_cast<double>(value(behind.first, behind.second));
  };
  FrontierPoint p;
  p.arena_bytes = c.arena_bytes + std::llround(between([](const auto& e, const auto& real) {
                    return real.arena_bytes - e.arena_bytes;
                  }));
  p.process_bytes = p.arena_bytes + std::llround(between([](const auto&, const auto& real) {
                      return real.process_bytes - real.arena_bytes;
                    }));
  p.predicted_step_seconds = c.seconds * between([](const auto& e, const auto& real) {
                               return real.predicted_step_seconds / e.seconds;
                             });
  p.promise = name_of(promise_of(request, c));
  if (c.microbatches > 1) p.techniques.push_back(str_cat("microbatch: ", c.microbatches));
  for (const Setting& s : c.settings) p.techniques.push_back(text_of(s));
  if (c.recompute) p.techniques.emplace_back("recompute");
  return p;
}

bool faster(const FrontierPoint& a, const FrontierPoint& b) {
  return a.predicted_step_seconds != b.predicted_step_seconds
             ? a.predicted_step_seconds < b.predicted_step_seconds
             : a.process_bytes < b.process_bytes;
}

bool no_worse(const FrontierPoint& a, const FrontierPoint& b) {
  return a.process_bytes <= b.process_bytes && a.predicted_step_seconds <= b.predicted_step_seconds;
}

// Fastest first, without points that another is no worse than in both. Between planned points and
// estimates the planned ones win: an estimate that beats one is none to rely on.
std::vector<FrontierPoint> undominated(std::vector<FrontierPoint> all) {
  std::stable_sort(all.begin(), all.end(), [](const FrontierPoint& a, const FrontierPoint& b) {
    return a.planned != b.planned ? a.planned : faster(a, b);
  });
  std::vector<FrontierPoint> kept;
  for (FrontierPoint& p : all) {
    const bool out = std::any_of(kept.begin(), kept.end(), [&](const FrontierPoint& k) {
      return no_worse(k, p) || (k.planned && !p.planned && no_worse(p, k));
    });
    if (!out) kept.push_back(std::move(p));
  }
  std::stable_sort(kept.begin(), kept.end(), faster);
  return kept;
}

}  // namespace

std::vector<FrontierPoint> frontier(const TrainOptions& options, int most_planned) {
  require(most_planned >= 2, "a frontier needs at least 2 planned points, got ", most_planned);
  calibrate(options);
  Setup setup = prepare(options, true);
  require(setup.machine != Machine{}, "the speed of this machine could not be measured");
  setup.request.budget_bytes = 0;
  const Candidates all = search_apart(setup.request, setup.machine);
  const std::vector<size_t> chosen = spread(all.useful, most_planned);
  std::vector<FrontierPoint> points = plan_all(setup, all, chosen);
  const std::vector<FrontierPoint> real = points;
  for (size_t k = 0; k + 1 < real.size(); ++k) {
    const size_t first = chosen[k], last = chosen[k + 1];
    for (size_t i = first + 1; i < last; ++i) {
      const double share = static_cast<double>(i - first) / static_cast<double>(last - first);
      points.push_back(estimated(setup.request, all.useful[i], share, {all.useful[first], real[k]},
                                 {all.useful[last], real[k + 1]}));
    }
  }
  return undominated(std::move(points));
}

}  // namespace thimble
