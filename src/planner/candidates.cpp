#include "planner/candidates.h"

#include <algorithm>

#include "backends/kernel_cache.h"
#include "planner/chain.h"

namespace thimble {
namespace {

// Ratios decide, not the absolute speed.
constexpr Machine kUsualMachine = {1e11, 1e10, 2e-6};

// Rounds of solving: the whole range, then the low end, finer and more daring.
struct Round {
  double share, beside;
};
constexpr Round kRounds[] = {{1, 1}, {0.35, 0.25}, {0.2, 0.25}};

void keep_useful(std::vector<Candidate>& all) {
  std::stable_sort(all.begin(), all.end(), [](const Candidate& a, const Candidate& b) {
    return a.seconds != b.seconds ? a.seconds < b.seconds : a.arena_bytes < b.arena_bytes;
  });
  int64_t smallest = INT64_MAX;
  std::erase_if(all, [&](const Candidate& c) {
    if (c.arena_bytes >= smallest) return true;
    smallest = c.arena_bytes;
    return false;
  });
}

}  // namespace

std::vector<Candidate> find_candidates(const Graph& training,
                                       const std::vector<Reservation>& reservations,
                                       Machine machine) {
  if (machine == Machine{}) machine = kUsualMachine;
  // Plain layouts tell the candidates apart well enough, and need no generated kernels.
  KernelCache backend(make_backend("portable"));
  std::vector<NamedLayout> layouts;
  const auto judged = [&](const Graph& graph, Candidate c) {
    const Schedule s = reordered(make_schedule(graph, backend, layouts), Order::smaller_first);
    c.arena_bytes = live_bytes(s, place_persistent({&s}, reservations));
    c.seconds = predict_seconds(s, machine);
    return c;
  };
  std::vector<Candidate> all = {judged(training, {})};
  const Chain chain = make_chain(training, machine);
  for (const Round& round : kRounds) {
    const ChainSolver solver(chain, round.share, round.beside);
    double last = 0;
    for (int level = ChainSolver::kLevels; level >= 0; --level) {
      if (solver.seconds(level) <= last) continue;
      last = solver.seconds(level);
      auto plan = solver.plan(level);
      if (!plan) break;
      const Graph graph = recompute(training, *plan);
      all.push_back(judged(graph, {std::move(plan), 0, 0}));
    }
  }
  keep_useful(all);
  return all;
}

}  // namespace thimble
