#include "planner/candidates.h"

#include <algorithm>

#include "backends/kernel_cache.h"
#include "planner/chain.h"
#include "transforms/masks.h"
#include "transforms/microbatch.h"

namespace thimble {
namespace {

// Ratios decide, not the absolute speed.
constexpr Machine kUsualMachine = {1e11, 1e10, 2e-6};

// Rounds of solving: the whole range, then the low end, finer and more daring.
struct Round {
  double share, beside;
  int stride;  // levels from one candidate to the next
};
constexpr Round kRounds[] = {{1, 1, 1}, {0.35, 0.25, 1}, {0.2, 0.25, 1}};
// Microbatches differ from each other more than neighbouring levels do.
constexpr Round kMicrobatchRounds[] = {{1, 1, 8}, {0.35, 0.25, 8}};

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

// Judges candidates without generated kernels: plain layouts tell them apart well enough.
class Judge {
 public:
  Judge(const PlanRequest& request, const Machine& machine)
      : request_(request), machine_(machine) {}

  Candidate judged(const Graph& graph, Candidate c) {
    Schedule s = make_schedule(graph, backend_, layouts_);
    s = reordered(s, Order::smaller_first);
    c.arena_bytes =
        live_bytes(s, place_persistent({&s}, reservations_of(request_, c.microbatches)));
    c.seconds = predict_seconds(s, machine_);
    return c;
  }

  void add_all(int64_t microbatches, std::span<const Round> rounds, std::vector<Candidate>& all) {
    layouts_.clear();
    const Graph training = training_graph(request_, microbatches);
    all.push_back(judged(training, {microbatches, std::nullopt, 0, 0}));
    const Chain chain = make_chain(training, machine_);
    for (const Round& round : rounds) {
      const ChainSolver solver(chain, round.share, round.beside);
      double last = 0;
      for (int level = ChainSolver::kLevels; level >= 0; level -= round.stride) {
        if (solver.seconds(level) <= last) continue;
        last = solver.seconds(level);
        auto plan = solver.plan(level);
        if (!plan) break;
        const Graph graph = recompute(training, *plan);
        all.push_back(judged(graph, {microbatches, std::move(plan), 0, 0}));
      }
    }
  }

 private:
  const PlanRequest& request_;
  const Machine& machine_;
  KernelCache backend_{make_backend("portable")};
  std::vector<NamedLayout> layouts_;
};

bool may_split(const PlanRequest& request) {
  const auto& allow = request.allow;
  return !reads_batch_statistics(request.forward) ||
         std::find(allow.begin(), allow.end(), kGhostBatchNorm) != allow.end();
}

}  // namespace

std::vector<Reservation> reservations_of(const PlanRequest& request, int64_t microbatches) {
  if (!request.reservations) return {};
  return request.reservations(batch_of(request.forward) / microbatches);
}

Graph training_graph(const PlanRequest& request, int64_t microbatches) {
  const int64_t batch = batch_of(request.forward) / microbatches;
  const Graph forward = use_masks(with_batch(request.forward, batch));
  const TensorId loss = forward.find("loss");
  ensure(loss != kNoTensor, "the model ", forward.name, " has no loss");
  Graph training = add_optimizer(differentiate(forward, loss), request.optimizer);
  return microbatches == 1 ? training : accumulate_gradients(training, microbatches);
}

Graph training_graph(const PlanRequest& request, const Candidate& candidate) {
  Graph training = training_graph(request, candidate.microbatches);
  return candidate.recompute ? recompute(training, *candidate.recompute) : training;
}

Candidates find_candidates(const PlanRequest& request, Machine machine) {
  if (machine == Machine{}) machine = kUsualMachine;
  std::vector<Candidate> all;
  Judge judge(request, machine);
  const int64_t batch = batch_of(request.forward);
  const int64_t wanted = request.microbatches;
  ensure(wanted >= 0 && (wanted == 0 || batch % wanted == 0), "a batch of ", batch, " has no ",
         wanted, " equal parts");
  judge.add_all(std::max<int64_t>(wanted, 1), kRounds, all);
  const bool free = wanted == 0 && may_split(request);
  for (int64_t count = 2; free && count <= batch; ++count) {
    const int64_t examples = batch / count;
    if (batch % count != 0) continue;
    // Batch norm needs a second value.
    if (examples == 1 && reads_batch_statistics(request.forward)) continue;
    judge.add_all(count, kMicrobatchRounds, all);
  }
  const Candidate plain = all.front();
  keep_useful(all);
  return {plain, std::move(all)};
}

}  // namespace thimble
