#include "ops/core/drop_grow.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "support/check_op.h"
#include "support/sparse_bytes.h"

namespace thimble {
namespace {

constexpr int64_t kUnits = 100;
const SparseShape kShape({10, 10}, 1, 1);

Attributes change(double drop, int64_t every_steps, int64_t until = 0) {
  return {{"shape", std::vector<int64_t>{10, 10}},
          {"block", int64_t{1}},
          {"group", int64_t{1}},
          {"every", every_steps},
          {"until", until},
          {"drop", drop}};
}

TestInput bytes(const std::vector<uint8_t>& index) {
  return {{std::ssize(index)}, ElementType::u8, exactly(as_doubles(index)), false};
}

// Values 1 to 20 at every fifth position, momentum -1 to -20.
OpCase drop_case(const Attributes& attributes, double step, const TestInput& candidates,
                 const TestInput& drops = absent()) {
  std::vector<double> values, momentum;
  for (int i = 1; i <= 20; ++i) {
    values.push_back(i % 2 == 0 ? i : -i);
    momentum.push_back(-i);
  }
  return {.inputs = {bytes(index_of(every(5, 2, kUnits), kShape)),
                     i32({4}, exactly({step, 7, 0, 0})), candidates, drops,
                     constant({20}, exactly(values)), constant({20}, exactly(momentum))},
          .attributes = attributes};
}

struct Changed {
  std::vector<int64_t> units;
  std::vector<double> values, momentum;
};
Changed run_change(const OpCase& c) {
  const auto results = run_op("drop_grow", c);
  return {units_of(results[0], kShape, 20), results[1], results[2]};
}

TEST(DropGrow, GrowsTheCandidatesInPlaceOfTheSmallest) {
  const auto c = drop_case(change(0.1, 4), 4, i32({2}, exactly({99, 0})));
  const Changed now = run_change(c);
  std::vector<int64_t> expected = every(5, 12, kUnits);  // the first two had the values -1 and 2
  expected.insert(expected.begin(), 0);
  expected.push_back(99);
  EXPECT_EQ(now.units, expected);
  for (size_t i = 0; i < 20; ++i) {
    const bool fresh = now.units[i] == 0 || now.units[i] == 99;
    EXPECT_EQ(std::abs(now.values[i]), fresh ? 0 : static_cast<double>(i + 2));
    EXPECT_EQ(now.momentum[i], fresh ? 0 : -static_cast<double>(i + 2));
  }
}

TEST(DropGrow, DoesNothingBetweenItsSteps) {
  for (const double step : {0.0, 1.0, 3.0, 5.0, 12.0}) {
    const auto c = drop_case(change(0.3, 4, 12), step, absent());
    EXPECT_EQ(run_change(c).units, every(5, 2, kUnits)) << step;
  }
}

TEST(DropGrow, DrawsInactivePositions) {
  const auto c = drop_case(change(0.5, 4), 8, absent());
  const Changed now = run_change(c);
  const std::vector<int64_t> before = every(5, 2, kUnits);
  EXPECT_TRUE(std::is_sorted(now.units.begin(), now.units.end()));
  EXPECT_EQ(std::set<int64_t>(now.units.begin(), now.units.end()).size(), 20u);
  std::vector<int64_t> grown;
  std::set_difference(now.units.begin(), now.units.end(), before.begin(), before.end(),
                      std::back_inserter(grown));
  EXPECT_EQ(grown.size(), 10u);
  EXPECT_EQ(run_change(c).units, now.units);
  auto other = c;
  other.attributes.set("layer", int64_t{3});
  EXPECT_NE(run_change(other).units, now.units);
  other = drop_case(change(0.5, 4), 12, absent());
  EXPECT_NE(run_change(other).units, now.units);
}

// f(t) = drop / 2 * (1 + cos(pi t / until)).
TEST(DropGrow, TheShareFallsByACosine) {
  const Attributes a = change(0.4, 10, 100);
  EXPECT_EQ(replaced_in(a, 50, 0), 0);
  EXPECT_EQ(replaced_in(a, 50, 50), 10);
  EXPECT_EQ(replaced_in(a, 50, 90), 0);  // 0.5 of one
  EXPECT_EQ(replaced_in(a, 50, 10), 19);
  EXPECT_EQ(replaced_in(a, 50, 100), 0);
  EXPECT_EQ(replaced_in(a, 50, 15), 0);
  EXPECT_EQ(most_replaced(a, 90), 10);  // no more than are inactive
}

TEST(DropGrow, CandidatesAreTheInactiveWithTheLargestGradient) {
  std::vector<double> diff(kUnits);
  for (size_t i = 0; i < diff.size(); ++i) diff[i] = (i % 2 ? 1.0 : -1.0) * static_cast<double>(i);
  Attributes a = change(0.2, 4);
  a.set("values", int64_t{20});
  const OpCase c = {
      .inputs = {constant({10, 10}, exactly(diff)), bytes(index_of(every(5, 2, kUnits), kShape)),
                 i32({4}, exactly({4, 0, 0, 0})), i32({4}, exactly({-1, -1, -1, -1}))},
      .attributes = a};
  const std::vector<double> found = run_op("growth_candidates", c)[0];
  EXPECT_EQ((std::set<double>(found.begin(), found.end())), (std::set<double>{95, 96, 98, 99}));
}

TEST(DropGrow, DropsWhatItIsTold) {
  const Changed now = run_change(
      drop_case(change(0.1, 4), 4, i32({2}, exactly({99, 0})), i32({2}, exactly({19, 4}))));
  std::vector<int64_t> expected = every(5, 2, kUnits);
  expected.erase(expected.begin() + 19);
  expected.erase(expected.begin() + 4);
  expected.insert(expected.begin(), 0);
  expected.push_back(99);
  EXPECT_EQ(now.units, expected);
}

// 2:8 of 4 rows of 16 channels: 8 groups, of each places 1 and 6. Magnitudes 1 to 16; in each
// second group, the smaller stands second.
const SparseShape kGrouped({4, 16}, 1, 8);

OpCase grouped_case(const TestInput& grows, const TestInput& drops) {
  std::vector<int64_t> units;
  std::vector<double> values, momentum;
  for (int64_t g = 0; g < 8; ++g) {
    for (const int64_t place : {1, 6}) {
      units.push_back(8 * g + place);
      const auto i = static_cast<double>(units.size());
      const double magnitude = g % 2 == 0 ? i : i + (place == 1 ? 1 : -1);
      values.push_back(g % 4 < 2 ? magnitude : -magnitude);
      momentum.push_back(i);
    }
  }
  Attributes a = change(0.25, 4);
  a.set("shape", std::vector<int64_t>{4, 16});
  a.set("group", int64_t{8});
  return {.inputs = {bytes(index_of(units, kGrouped)), i32({4}, exactly({4, 7, 0, 0})), grows,
                     drops, constant({16}, exactly(values)), constant({16}, exactly(momentum))},
          .attributes = a};
}

struct Regrouped {
  std::vector<int64_t> units;
  std::vector<double> values;
};
Regrouped run_grouped(const OpCase& c) {
  const auto results = run_op("drop_grow", c);
  return {units_of(results[0], kGrouped, 16), results[1]};
}

TEST(DropGrow, InGroupsTheLeastOfTheSameGroupGoes) {
  const Regrouped now = run_grouped(grouped_case(i32({4}, exactly({7, 16, 32, 61})), absent()));
  // Of groups 0, 2 and 4 the first of the pair goes, of group 7 the second.
  EXPECT_EQ(now.units,
            (std::vector<int64_t>{6, 7, 9, 14, 16, 22, 25, 30, 32, 38, 41, 46, 49, 54, 57, 61}));
  EXPECT_EQ(now.values,
            (std::vector<double>{2, 0, 4, 3, 0, -6, -8, -7, 0, 10, 12, 11, -13, -14, -16, 0}));
}

TEST(DropGrow, InGroupsItDrawsWhereOneGoes) {
  for (const bool told : {false, true}) {
    const TestInput drops = told ? i32({4}, exactly({15, 2, 8, 5})) : absent();
    const OpCase c = grouped_case(absent(), drops);
    const Regrouped now = run_grouped(c);
    // What went, by its magnitude: the least of the four first groups, or what the list says.
    const std::set<double> gone =
        told ? std::set<double>{15, 4, 9, 6} : std::set<double>{1, 3, 5, 7};
    std::set<double> left;
    for (const double v : now.values) left.insert(std::abs(v));
    for (double magnitude = 1; magnitude <= 16; ++magnitude) {
      EXPECT_EQ(left.contains(magnitude), !gone.contains(magnitude)) << magnitude << ' ' << told;
    }
    ASSERT_EQ(now.units.size(), 16u);
    for (size_t i = 0; i < 16; ++i) {
      EXPECT_EQ(now.units[i] / 8, static_cast<int64_t>(i / 2));
      EXPECT_TRUE(i % 2 == 0 || now.units[i - 1] < now.units[i]);
      const int64_t place = now.units[i] % 8;
      EXPECT_EQ(now.values[i] == 0, place != 1 && place != 6) << now.units[i];
    }
  }
}

// The largest inactive one, wherever it stands; an active one is larger still.
TEST(DropGrow, InGroupsOneCandidateIsOfEach) {
  std::vector<double> diff(64);
  for (size_t g = 0; g < 8; ++g) {
    for (size_t place = 0; place < 8; ++place)
      diff[8 * g + place] = 0.1 * static_cast<double>(place);
    diff[8 * g + 6] = 100;
    diff[8 * g + (g < 6 ? 0 : 4)] = -10 - static_cast<double>(g);
  }
  OpCase grouped = grouped_case(absent(), absent());
  grouped.attributes.set("values", int64_t{16});
  grouped.inputs = {constant({4, 16}, exactly(diff)), grouped.inputs[0], grouped.inputs[1],
                    i32({4}, exactly({-1, -1, -1, -1}))};
  const std::vector<double> found = run_op("growth_candidates", grouped)[0];
  EXPECT_EQ((std::set<double>(found.begin(), found.end())), (std::set<double>{32, 40, 52, 60}));
}

TEST(DropGrow, HoldsItsContract) {
  check_op("drop_grow", {drop_case(change(0.3, 4), 4, absent()),
                         drop_case(change(0.1, 4), 4, i32({2}, exactly({99, 0}))),
                         drop_case(change(0.1, 4), 4, absent(), i32({2}, exactly({3, 0}))),
                         grouped_case(absent(), absent()),
                         grouped_case(i32({4}, exactly({7, 16, 32, 61})), absent())});
}

TEST(Largest, KeepsTheLargestAndOfEqualOnesTheFirst) {
  std::vector<float> scores(3);
  std::vector<int32_t> units(3);
  Largest<float> largest(scores.data(), units.data(), 3);
  const std::vector<float> offered = {2, 5, 2, 1, 2, 7};
  for (size_t i = 0; i < offered.size(); ++i) largest.offer(offered[i], static_cast<int32_t>(i));
  EXPECT_EQ((std::set<int32_t>(units.begin(), units.end())), (std::set<int32_t>{0, 1, 5}));
}

}  // namespace
}  // namespace thimble
