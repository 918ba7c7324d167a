#include "planner/account.h"

#include <gtest/gtest.h>

#include "models/model.h"
#include "planner/candidates.h"

namespace thimble {
namespace {

constexpr Machine kMachine = {1e11, 1e10, 1e-6};

PlanRequest request() {
  ModelOptions o;
  o.batch = 8;
  PlanRequest r;
  r.forward = build_model("lenet", o);
  r.optimizer = {"sgd", {{"momentum", 0.9}}};
  return r;
}

std::vector<std::string> names(const std::vector<Share>& shares) {
  std::vector<std::string> all;
  for (const Share& s : shares) all.push_back(s.name);
  return all;
}

TEST(AccountFor, ThePlainPlanSharesPlacesAndHasAnOrder) {
  const auto shares = account_for(request(), {}, Order::early_update, kMachine);
  ASSERT_EQ(names(shares), (std::vector<std::string>{"in_place", "order"}));
  EXPECT_EQ(shares[1].where, "early_update");
  EXPECT_GT(shares[1].saved_bytes, 0);
  for (const Share& s : shares) EXPECT_NEAR(s.cost_seconds, 0, 1e-12);
}

// The shares add up to what the search believes of the whole candidate.
TEST(AccountFor, SharesAddUpToTheCandidate) {
  const PlanRequest r = request();
  const Candidates all = find_candidates(r, kMachine);
  const Candidate& smallest = all.useful.back();
  ASSERT_TRUE(smallest.recompute && smallest.microbatches > 1);
  const auto sum = [&](const Candidate& c) {
    int64_t bytes = 0;
    double seconds = 0;
    for (const Share& s : account_for(r, c, Order::smaller_first, kMachine)) {
      bytes += s.saved_bytes;
      seconds += s.cost_seconds;
    }
    return std::pair(bytes, seconds);
  };
  const auto plain = sum(all.plain), least = sum(smallest);
  EXPECT_EQ(least.first - plain.first, all.plain.arena_bytes - smallest.arena_bytes);
  EXPECT_NEAR(least.second - plain.second, smallest.seconds - all.plain.seconds, 1e-9);
}

TEST(AccountFor, RecomputingSaysWhere) {
  const PlanRequest r = request();
  const Candidate smallest = find_candidates(r, kMachine).useful.back();
  const auto shares = account_for(r, smallest, Order::smaller_first, kMachine);
  EXPECT_EQ(names(shares),
            (std::vector<std::string>{"in_place", "order", "microbatch", "recompute"}));
  EXPECT_EQ(shares[2].where, "8 of 1 examples");
  EXPECT_NE(shares[3].where.find(" runs again of 13 forward steps: "), std::string::npos)
      << shares[3].where;
  EXPECT_GT(shares[3].saved_bytes, 0);
  EXPECT_GT(shares[3].cost_seconds, 0);
}

TEST(AccountFor, InvertingSaysHowMuch) {
  ModelOptions o;
  o.batch = 8;
  o.variants = {{"activation", "leaky_relu"}};
  PlanRequest r = request();
  r.forward = build_model("resnet18_cifar", o);
  const Candidate inverted{1, {{find_technique("invert"), kAnySnr}}};
  const auto shares = account_for(r, inverted, Order::smaller_first, kMachine);
  EXPECT_EQ(names(shares), (std::vector<std::string>{"in_place", "masks", "sum_in_place", "order",
                                                     "invert: all"}));
  // All leaky norms but the last, and what the three of shortcuts made.
  EXPECT_EQ(shares.back().where, "19 made from what lies behind them");
  EXPECT_GT(shares.back().saved_bytes, 0);
  EXPECT_GT(shares.back().cost_seconds, 0);
}

}  // namespace
}  // namespace thimble
