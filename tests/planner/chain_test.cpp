#include "planner/chain.h"

#include <gtest/gtest.h>

#include <limits>

#include "base/random.h"

// The dynamic programme beside every plan of its class.

namespace thimble {
namespace {

// What a plan takes: bytes beside the first input and the last gradient, and time.
struct Cost {
  int64_t bytes = 0;
  double seconds = 0;
};

Chain random_chain(uint64_t seed, int stages) {
  const RandomStream random(seed, 0);
  uint64_t drawn = 0;
  const auto below = [&](int64_t n) { return random.below(drawn++, n); };
  Chain chain;
  chain.stage_begins.push_back(0);
  for (int s = 0; s < stages; ++s) {
    Chain::Stage stage;
    stage.forward_seconds = static_cast<double>(1 + below(9));
    stage.backward_seconds = static_cast<double>(1 + below(9));
    stage.lean_seconds = 0.25;
    stage.input_bytes = s == 0 ? 0 : 100000 * (1 + below(9));
    stage.forward_bytes = 100000 * (1 + below(9));
    stage.kept_bytes = stage.forward_bytes + 100000 * below(9);
    stage.handed_on_bytes = below(2) * 50000;
    stage.dropped_bytes = below(2) * 40000;
    stage.dropped_own_bytes = stage.dropped_bytes / 2;
    stage.gradient_bytes = 10000 * below(9);
    chain.stages.push_back(stage);
    chain.stage_begins.push_back(s + 1);
  }
  return chain;
}

// All plans for the stages [first, last), each with the exact bytes that it takes: keep the first
// stage, in full or lean, or run up to a checkpoint and come back.
std::vector<Cost> all_plans(const Chain& chain, int first, int last) {
  if (first == last) return {{0, 0}};
  const auto stage = [&](int s) -> const Chain::Stage& {
    return chain.stages[static_cast<size_t>(s)];
  };
  const Chain::Stage& s = stage(first);
  const bool alone = first + 1 == last;
  std::vector<Cost> all;
  for (const bool lean : {false, true}) {
    if (lean && s.dropped_bytes == 0) continue;
    int64_t kept = s.kept_bytes;
    if (alone) kept -= s.handed_on_bytes;
    if (lean) kept -= alone ? s.dropped_own_bytes : s.dropped_bytes;
    int64_t beside = s.input_bytes + s.gradient_bytes + (alone ? 0 : stage(first + 1).input_bytes);
    if (lean && !alone) {
      beside = std::max(beside, s.dropped_bytes + stage(first + 1).forward_bytes);
    }
    for (const Cost& rest : all_plans(chain, first + 1, last)) {
      all.push_back(
          {std::max(s.forward_bytes, kept + std::max(beside, rest.bytes)),
           s.forward_seconds + s.backward_seconds + (lean ? s.lean_seconds : 0) + rest.seconds});
    }
  }
  int64_t running = s.forward_bytes;
  double forward = s.forward_seconds;
  for (int split = first + 1; split < last; ++split) {
    const Chain::Stage& to = stage(split);
    for (const Cost& behind : all_plans(chain, split, last)) {
      for (const Cost& before : all_plans(chain, first, split)) {
        all.push_back(
            {std::max({running, to.input_bytes + behind.bytes, to.input_bytes + before.bytes}),
             forward + behind.seconds + before.seconds});
      }
    }
    running = std::max(running, to.input_bytes + to.forward_bytes);
    forward += to.forward_seconds;
  }
  return all;
}

double best_of(const std::vector<Cost>& plans, int64_t bytes) {
  double best = std::numeric_limits<double>::infinity();
  for (const Cost& p : plans) {
    if (p.bytes <= bytes) best = std::min(best, p.seconds);
  }
  return best;
}

double seconds_of(const Chain& chain, const RecomputePlan& plan) {
  double seconds = 0;
  for (const RecomputePlan::Action& a : plan.actions) {
    const Chain::Stage& s = chain.stages[static_cast<size_t>(a.stage)];
    seconds += a.backward ? s.backward_seconds : s.forward_seconds;
    if (a.backward && plan.lean[static_cast<size_t>(a.stage)]) seconds += s.lean_seconds;
  }
  return seconds;
}

// Amounts are rounded up to levels, at most once for each stage that is held: the solver is as fast
// as the best plan in so many levels less, and never faster than the best plan.
TEST(ChainSolver, FindsTheBestOfAllPlansOfSmallChains) {
  int finite = 0;
  for (int stages = 1; stages <= 5; ++stages) {
    for (uint64_t seed = 0; seed < 6; ++seed) {
      const Chain chain = random_chain(seed, stages);
      const std::vector<Cost> plans = all_plans(chain, 0, stages);
      const ChainSolver solver(chain);
      for (int level = 0; level <= ChainSolver::kLevels; ++level) {
        const double found = solver.seconds(level);
        EXPECT_GE(found + 1e-3, best_of(plans, level * solver.level_bytes()))
            << stages << " stages, seed " << seed << ", level " << level;
        EXPECT_LE(found - 1e-3, best_of(plans, (level - stages) * solver.level_bytes()))
            << stages << " stages, seed " << seed << ", level " << level;
        finite += found < 1e9;
      }
    }
  }
  EXPECT_GT(finite, 1000);
}

TEST(ChainSolver, ItsPlansTakeTheTimeThatItSays) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const Chain chain = random_chain(seed, 5);
    const ChainSolver solver(chain);
    for (int level = 0; level <= ChainSolver::kLevels; ++level) {
      const auto plan = solver.plan(level);
      ASSERT_EQ(plan.has_value(), solver.seconds(level) < 1e9);
      if (!plan) continue;
      EXPECT_NEAR(seconds_of(chain, *plan), solver.seconds(level), 1e-3) << level;
    }
  }
}

}  // namespace
}  // namespace thimble
