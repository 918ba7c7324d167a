#include "planner/candidates.h"

#include <gtest/gtest.h>

#include "models/zoo.h"
#include "support/sanitizers.h"

namespace thimble {
namespace {

constexpr Machine kMachine = {1e11, 1e10, 2e-6};
constexpr int kBudgets = 25;

// Nothing is run, so networks have their usual size.
PlanRequest request_of(const std::string& model) {
  ModelOptions o;
  o.batch = 8;
  PlanRequest r;
  r.forward = build_model(model, o);
  r.optimizer = {"sgd", {{"momentum", 0.9}}};
  r.backend = "portable";
  return r;
}

// What is chosen at each budget, and how tightly it is placed.
class EveryModel : public testing::TestWithParam<std::string> {};

TEST_P(EveryModel, IsNeverSlowerInMoreBytesAndWithinTwoPercentOfItsLowerBound) {
  if (kSanitized) GTEST_SKIP() << "sanitizers take memory of their own";
  PlanRequest request = request_of(GetParam());
  const Candidates found = find_candidates(request, kMachine);
  const auto plan_in = [&](int64_t bytes) {
    request.budget_bytes = bytes;
    return make_plan(request, kMachine, found);
  };
  // Other things of this process may move by as much.
  constexpr int64_t kJitter = 2 << 20;
  const int64_t least = plan_in(1).smallest_budget_bytes + kJitter;
  const int64_t most = plan_in(0).process_bytes + kJitter;
  double before = 1e9;
  for (int i = 0; i < kBudgets; ++i) {
    const int64_t budget = least + (most - least) * i / (kBudgets - 1);
    const Plan plan = plan_in(budget);
    EXPECT_TRUE(plan.fits) << i;
    EXPECT_LE(plan.process_bytes, budget) << i;
    EXPECT_LE(plan.predicted_step_seconds, before) << i;
    EXPECT_LE(static_cast<double>(plan.arena_bytes),
              1.02 * static_cast<double>(plan.lower_bound_bytes))
        << i;
    before = plan.predicted_step_seconds;
  }
  EXPECT_EQ(before, plan_in(0).predicted_step_seconds);
}

INSTANTIATE_TEST_SUITE_P(MakePlan, EveryModel,
                         testing::Values("lenet", "resnet18_cifar", "resnet50", "mobilenet_v1",
                                         "mobilenet_v1_patch", "mobilenet_v2"));

TEST(FindCandidates, DoNotDependOnTheBudget) {
  PlanRequest request = request_of("mobilenet_v1");
  const Candidates any = find_candidates(request, kMachine);
  request.budget_bytes = 200 << 20;
  const Candidates some = find_candidates(request, kMachine);
  ASSERT_EQ(any.useful.size(), some.useful.size());
  for (size_t i = 0; i < any.useful.size(); ++i) {
    EXPECT_EQ(any.useful[i].arena_bytes, some.useful[i].arena_bytes) << i;
    EXPECT_EQ(any.useful[i].seconds, some.useful[i].seconds) << i;
  }
}

// Two networks that are not small: a search that only helped those would not show here.
TEST(FindCandidates, TheLocalSearchIsFasterInTheSameBytesOnLargeNetworks) {
  if (kSanitized) GTEST_SKIP() << "hundreds of layers take minutes";
  for (const char* model : {"mobilenet_v1", "resnet50"}) {
    const PlanRequest request = request_of(model);
    const Candidates with = find_candidates(request, kMachine);
    const Candidates without = find_candidates(request, kMachine, false);
    EXPECT_LT(with.useful.back().arena_bytes, without.useful.back().arena_bytes);
    for (const Candidate& c : without.useful) {
      const auto same =
          std::find_if(with.useful.begin(), with.useful.end(),
                       [&](const Candidate& w) { return w.arena_bytes <= c.arena_bytes; });
      ASSERT_NE(same, with.useful.end());
      // Plans that are larger for next to nothing are not judged (kWorthwhile).
      EXPECT_LE(same->seconds, 1.001 * c.seconds) << model << ' ' << c.arena_bytes;
    }
  }
}

}  // namespace
}  // namespace thimble
