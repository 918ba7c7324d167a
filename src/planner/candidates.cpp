#include "planner/candidates.h"

#include <algorithm>
#include <limits>
#include <map>

#include "backends/kernel_cache.h"
#include "planner/chain.h"
#include "planner/local_search.h"
#include "planner/recompute_text.h"

namespace thimble {
namespace {

// Ratios decide, not the absolute speed.
constexpr Machine kUsualMachine = {1e11, 1e10, 2e-6, 2e11};

// Rounds of solving: the whole range, then the low end, finer and more daring.
struct Round {
  double share, beside;
  int stride;  // levels from one candidate to the next
};
constexpr Round kRounds[] = {{1, 1, 1}, {0.35, 0.25, 1}, {0.2, 0.25, 1}};
// Microbatches differ from each other more than neighbouring levels do.
constexpr Round kMicrobatchRounds[] = {{1, 1, 8}, {0.35, 0.25, 8}};
struct Effort {
  std::span<const Round> rounds;
  int64_t part = 1;  // of the local search's looks
};
constexpr Effort kEffort = {kRounds};
constexpr Effort kMicrobatchEffort = {kMicrobatchRounds, 16};

// Plans that the local search looks at: more for a longer network, within a second for all.
int64_t looks_of(int64_t nodes) {
  return std::min(3000 + nodes * nodes * 3 / 10, 13'000'000 / nodes);
}
// Of two plans, the larger is that much faster, or not judged.
constexpr double kWorthwhile = 0.9995;

bool same_but_recompute(const Candidate& a, const Candidate& b) {
  return a.microbatches == b.microbatches && a.settings == b.settings;
}

// What saves bytes is only faster by an error of the prediction, and changes the result for it:
// who recomputes takes at least as long as who does not, and who splits or cuts, as who does
// neither. What is approximate was asked for, and may be faster.
void limit_to_plain(const Candidate& plain, std::vector<Candidate>& all) {
  for (Candidate& c : all) {
    const bool approximate =
        std::any_of(c.settings.begin(), c.settings.end(),
                    [](const Setting& s) { return !s.technique->allowance.empty(); });
    if (!approximate) c.seconds = std::max(c.seconds, plain.seconds);
  }
  for (const Candidate& kept : all) {
    if (kept.recompute) continue;
    for (Candidate& c : all) {
      if (same_but_recompute(c, kept)) c.seconds = std::max(c.seconds, kept.seconds);
    }
  }
}

void keep_useful(std::vector<Candidate>& all) {
  std::stable_sort(all.begin(), all.end(), [](const Candidate& a, const Candidate& b) {
    if (a.seconds != b.seconds) return a.seconds < b.seconds;
    if (a.microbatches != b.microbatches) return a.microbatches < b.microbatches;
    if (a.settings.size() != b.settings.size()) return a.settings.size() < b.settings.size();
    if (a.recompute.has_value() != b.recompute.has_value()) return b.recompute.has_value();
    return a.arena_bytes < b.arena_bytes;
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
  Judge(const PlanRequest& request, const Machine& machine, bool local_search)
      : request_(request), machine_(machine), local_search_(local_search) {}

  // This one, and how it can be had in fewer bytes. Says why when it cannot be used.
  std::string add_all(Candidate c, const Effort& effort, std::vector<Candidate>& all) {
    layouts_.clear();
    const Rewrite keeping = keeping_graph(request_, c);
    if (!keeping.graph) return keeping.refusal;
    c.snr_db = keeping.snr_db;
    if (std::string refusal = add(*keeping.graph, c, all); !refusal.empty()) return refusal;
    if (!may_recompute(request_)) return "";
    if (!search(*keeping.graph, c, effort, all)) judge_chain(*keeping.graph, c, effort, all);
    return "";
  }

  // This one, as it is.
  std::string add_alone(Candidate c, std::vector<Candidate>& all) {
    layouts_.clear();
    const Rewrite keeping = keeping_graph(request_, c);
    if (!keeping.graph) return keeping.refusal;
    c.snr_db = keeping.snr_db;
    if (c.recompute) check_fits(*c.recompute, *keeping.graph);
    return add(*keeping.graph, c, all);
  }

 private:
  // Plans for the chain of stages, one by one.
  template <class Use>
  void for_each_plan(const Graph& keeping, const Effort& effort, const Use& use) {
    const Chain chain = make_chain(keeping, machine_);
    // Row bands make graphs many times as long: those are tried at fewer levels, or planning would
    // take that much longer.
    const size_t length = keeping.nodes.size();
    if (shortest_ == 0) shortest_ = length;
    const int sparser = length > shortest_ ? static_cast<int>(2 * length / shortest_) : 1;
    for (const Round& round : effort.rounds) {
      const ChainSolver solver(chain, round.share, round.beside);
      double last = 0;
      const int stride = std::max(round.stride, sparser);
      for (int level = ChainSolver::kLevels; level >= 0; level -= stride) {
        if (solver.seconds(level) <= last) continue;
        last = solver.seconds(level);
        auto plan = solver.plan(level);
        if (!plan) break;
        use(std::move(*plan));
      }
    }
  }

  void judge_chain(const Graph& keeping, const Candidate& c, const Effort& effort,
                   std::vector<Candidate>& all) {
    for_each_plan(keeping, effort, [&](RecomputePlan plan) {
      Candidate less = c;
      less.recompute = std::move(plan);
      add(keeping, less, all);
    });
  }

  // The same, and what a search around these plans finds; false where its model of bytes and
  // seconds does not hold.
  bool search(const Graph& keeping, const Candidate& c, const Effort& effort,
              std::vector<Candidate>& all) {
    if (!local_search_) return false;
    // What rewrites the finished graph is not seen by the search: one serves all of its options.
    std::vector<Setting> before = c.settings;
    std::erase_if(before,
                  [](const Setting& s) { return s.technique->stage == Technique::Stage::last; });
    const auto [it, fresh] = found_.try_emplace(text_of(Numerics{c.microbatches, before}));
    if (fresh) it->second = plans_around(keeping, c, effort);
    for (const RecomputePlan& plan : it->second) {
      Candidate less = c;
      less.recompute = plan;
      add(keeping, less, all);
    }
    return !it->second.empty();
  }

  // None where the model of the search does not hold.
  std::vector<RecomputePlan> plans_around(const Graph& keeping, const Candidate& c,
                                          const Effort& effort) {
    RunModel model(keeping, backend_, layouts_, reservations_of(request_, c.microbatches),
                   machine_);
    if (!model.is_exact()) return {};
    const int64_t nodes = std::ssize(keeping.nodes);
    // Row bands make graphs many times as long, and leave little that is large.
    const int64_t part = shortest_ > 0 && nodes > 2 * static_cast<int64_t>(shortest_) ? 8 : 1;
    LocalSearch search(keeping, model, looks_of(nodes) / (part * effort.part));
    for_each_plan(keeping, effort, [&](RecomputePlan plan) { search.offer(std::move(plan)); });
    search.run();
    std::vector<RecomputePlan> plans;
    double last = std::numeric_limits<double>::infinity();
    for (const auto& [bytes, found] : search.found()) {
      if (found.seconds > last * kWorthwhile) continue;
      last = found.seconds;
      plans.push_back(found.plan);
    }
    return plans;
  }

  std::string add(const Graph& keeping, Candidate c, std::vector<Candidate>& all) {
    Rewrite rewritten = finished_graph(request_, keeping, c);
    if (!rewritten.graph) return rewritten.refusal;
    Schedule s = make_schedule(*rewritten.graph, backend_, layouts_);
    rewritten.graph.reset();  // one of the two at a time: planning's own peak counts
    const Schedule* whole = request_.cached ? &evaluation_of(c) : nullptr;
    const auto bytes_in = [&](const Schedule& ordered) {
      const auto reservations = reservations_of(request_, c.microbatches);
      if (whole == nullptr) {
        return live_bytes(ordered, place_persistent({&ordered}, reservations));
      }
      const auto persistent = place_persistent({&ordered, whole}, reservations);
      return std::max(live_bytes(ordered, persistent), live_bytes(*whole, persistent));
    };
    c.arena_bytes = INT64_MAX;
    // Where maps are had again, which gradients come first decides more than where they are kept.
    const bool rebuilds = std::any_of(c.settings.begin(), c.settings.end(),
                                      [](const Setting& x) { return x.technique->with_snr_db; });
    if (rebuilds) c.arena_bytes = bytes_in(reordered(s, Order::early_gradient));
    s = reordered(std::move(s), Order::smaller_first);
    c.arena_bytes = std::min(c.arena_bytes, bytes_in(s));
    c.seconds = predict_seconds(s, machine_);
    all.push_back(std::move(c));
    return "";
  }

  // Where steps do not run the whole network, evaluating it may take more bytes than they do.
  const Schedule& evaluation_of(const Candidate& c) {
    std::string key = text_of(Numerics{c.microbatches, c.settings});
    if (key != evaluation_key_) {
      evaluation_ = make_schedule(evaluation_graph(request_, c), backend_, layouts_);
      evaluation_key_ = std::move(key);
    }
    return evaluation_;
  }

  const PlanRequest& request_;
  const Machine& machine_;
  bool local_search_;
  KernelCache backend_{make_backend("portable")};
  std::vector<NamedLayout> layouts_;
  Schedule evaluation_;  // of the newest candidate
  std::string evaluation_key_;
  std::map<std::string, std::vector<RecomputePlan>> found_;  // by what decides the graph
  size_t shortest_ = 0;  // nodes of the first graph, which no technique made longer
};

// Every choice of at most one option for each technique among those that are of use by themselves.
std::vector<std::vector<Setting>> combinations(const std::vector<Setting>& settings,
                                               const std::vector<Setting>& fixed) {
  std::vector<std::vector<Setting>> all = {fixed};
  for (const Setting& s : settings) {
    const size_t before = all.size();
    for (size_t i = 0; i < before; ++i) {
      const bool taken = std::any_of(all[i].begin(), all[i].end(), [&](const Setting& other) {
        return other.technique == s.technique;
      });
      if (taken) continue;
      all.push_back(all[i]);
      all.back().push_back(s);
    }
  }
  for (auto& combination : all) {
    std::sort(combination.begin(), combination.end(), [](const Setting& a, const Setting& b) {
      return a.technique->name < b.technique->name;
    });
  }
  return all;
}

bool uses(const Candidate& c, const Setting& s) {
  return std::find(c.settings.begin(), c.settings.end(), s) != c.settings.end();
}

}  // namespace

Candidates find_candidates(const PlanRequest& request, Machine machine, bool local_search) {
  if (machine == Machine{}) machine = kUsualMachine;
  Candidates found;
  std::vector<Candidate>& all = found.useful;
  Judge judge(request, machine, local_search);
  const std::vector<int64_t> counts = microbatches_to_try(request);
  const std::vector<Setting> fixed =
      request.numerics ? request.numerics->settings : std::vector<Setting>{};
  const Candidate first{counts.front(), fixed};
  const bool pinned = request.numerics && request.numerics->pinned;
  const std::string refusal =
      pinned
          ? judge.add_alone({first.microbatches, first.settings, request.numerics->recompute}, all)
          : judge.add_all(first, kEffort, all);
  require(refusal.empty(), "the run cannot go on as it began: ", refusal);
  found.plain = all.front();
  const auto tried = settings_to_try(request);
  for (const Setting& s : tried) {
    Candidate alone = first;
    alone.settings.push_back(s);
    judge.add_all(alone, kEffort, all);
  }
  limit_to_plain(found.plain, all);
  keep_useful(all);
  std::vector<Setting> of_use;
  for (const Setting& s : tried) {
    const bool useful =
        std::any_of(all.begin(), all.end(), [&](const Candidate& c) { return uses(c, s); });
    if (useful) of_use.push_back(s);
  }
  const auto chosen = combinations(of_use, fixed);
  for (int64_t count : counts) {
    for (const auto& settings : chosen) {
      // Already tried.
      if (count == first.microbatches && settings.size() <= fixed.size() + 1) continue;
      judge.add_all({count, settings}, kMicrobatchEffort, all);
    }
  }
  limit_to_plain(found.plain, all);
  keep_useful(all);
  return found;
}

}  // namespace thimble
