#include <gtest/gtest.h>

#include <set>

#include "support/check_op.h"

namespace thimble {
namespace {

// Magnitudes 1 to 10; gradients that change their order.
OpCase least_case(double gradient, double step) {
  return {.inputs = {constant({10}, exactly({-1, 2, -3, 4, -5, 6, -7, 8, -9, 10})),
                     constant({10}, exactly({9, 0, 0, -9, 0, 0, 0, 0, 0, 0})),
                     i32({4}, exactly({step, 0, 0, 0})), i32({3}, exactly({-1, -1, -1}))},
          .attributes = {{"shape", std::vector<int64_t>{10, 10}},
                         {"every", int64_t{4}},
                         {"drop", 0.3},
                         {"gradient", gradient}}};
}

std::set<double> found(const OpCase& c) {
  const std::vector<double> drops = run_op("drop_candidates", c)[0];
  return {drops.begin(), drops.end()};
}

TEST(DropCandidates, AreTheLeastOfMagnitudeAndGradient) {
  EXPECT_EQ(found(least_case(0, 4)), (std::set<double>{0, 1, 2}));
  EXPECT_EQ(found(least_case(1, 4)), (std::set<double>{1, 2, 4}));
  EXPECT_EQ(found(least_case(0.2, 4)), (std::set<double>{0, 1, 2}));
}

TEST(DropCandidates, AreSoughtOnlyWherePositionsChange) {
  EXPECT_EQ(found(least_case(1, 5)), (std::set<double>{-1}));
}

// Two values of each group: at most one of them, the lesser wherever it stands.
TEST(DropCandidates, InGroupsOneIsOfEach) {
  OpCase c = least_case(0, 4);
  c.inputs[0] = constant({10}, exactly({2, -1, 3, 4, -6, 5, 7, 8, 10, -9}));
  c.attributes.set("shape", std::vector<int64_t>{5, 4});
  c.attributes.set("group", int64_t{4});
  EXPECT_EQ(found(c), (std::set<double>{1, 2, 5}));
}

// A block counts as a whole: its 16 magnitudes and gradients.
TEST(DropCandidates, SumABlock) {
  std::vector<double> values(64, 1), diff(64);
  values[16] = 30;                                   // block 1: 45
  diff[47] = -40;                                    // block 2: 56
  for (size_t k = 48; k < 64; ++k) values[k] = 0.5;  // block 3: 8
  const OpCase c = {.inputs = {constant({64}, exactly(values)), constant({64}, exactly(diff)),
                               i32({4}, exactly({4, 0, 0, 0})), i32({2}, exactly({-1, -1}))},
                    .attributes = {{"shape", std::vector<int64_t>{16, 10}},
                                   {"block", int64_t{16}},
                                   {"every", int64_t{4}},
                                   {"drop", 0.5}}};
  EXPECT_EQ(found(c), (std::set<double>{0, 3}));
}

TEST(DropCandidates, HoldsItsContract) { check_op("drop_candidates", {least_case(1, 4)}); }

}  // namespace
}  // namespace thimble
