#include <gtest/gtest.h>

#include "support/check_op.h"
#include "support/expect_error.h"
#include "support/sparse_bytes.h"

namespace thimble {
namespace {

OpCase densify_case(const Shape& dense, int64_t block, const std::vector<int64_t>& units,
                    int64_t group = 1) {
  const SparseShape shape(dense, block, group);
  const std::vector<uint8_t> index = index_of(units, shape);
  const auto values = static_cast<int64_t>(units.size()) * block;
  return {.inputs = {f32({values}),
                     {{std::ssize(index)}, ElementType::u8, exactly(as_doubles(index)), false}},
          .attributes = {{"shape", std::vector<int64_t>{dense.begin(), dense.end()}},
                         {"block", block},
                         {"group", group}}};
}

TEST(Densify, HoldsItsContract) {
  check_op("densify", {densify_case({4, 3, 2, 2}, 1, every(5, 1, 48)),
                       densify_case({32, 3, 1, 1}, 16, {0, 2, 5}),
                       densify_case({300, 250}, 1, every(97, 3, 75000)),  // two tiles
                       densify_case({300, 250}, 1, {74999}),              // one of them empty
                       densify_case({2, 8, 3, 3}, 1, every(4, 2, 144), 4),
                       densify_case({600, 128}, 1, every(32, 5, 76800), 32)});
}

TEST(Densify, WritesValuesToTheirPositions) {
  OpCase c = densify_case({2, 3}, 1, {1, 3});
  c.inputs[0].draw = exactly({5, 7});
  EXPECT_EQ(run_op("densify", c)[0], (std::vector<double>{0, 5, 0, 7, 0, 0}));
}

TEST(Densify, BlocksStandInNeighbouringOutputs) {
  OpCase c = densify_case({16, 2}, 16, {1});
  std::vector<double> values(16), expected(32);
  for (size_t k = 0; k < 16; ++k) expected[2 * k + 1] = values[k] = static_cast<double>(k + 1);
  c.inputs[0].draw = exactly(values);
  EXPECT_EQ(run_op("densify", c)[0], expected);
}

// Of channels at the same tap of the kernel: units are numbered tap by tap.
TEST(Densify, GroupsAreOfNeighbouringChannels) {
  OpCase c = densify_case({1, 4, 1, 2}, 1, {1, 2, 4, 7}, 4);
  c.inputs[0].draw = exactly({1, 2, 3, 4});
  // channels 1, 2 at the first tap; 0, 3 at the second
  EXPECT_EQ(run_op("densify", c)[0], (std::vector<double>{0, 3, 1, 0, 2, 0, 0, 4}));
}

TEST(Densify, RefusesGroupsThatDoNotDivideTheChannels) {
  OpCase c = densify_case({4, 8}, 1, every(4, 0, 32), 4);
  c.attributes.set("group", int64_t{3});
  expect_user_error([&] { op_graph("densify", c); }, "group is a power of two up to 32");
  c.attributes.set("group", int64_t{16});
  expect_user_error([&] { op_graph("densify", c); }, "that divides the input channels, got 16");
}

TEST(Densify, RefusesGroupsOfUnequalNumbers) {
  OpCase c = densify_case({4, 8}, 1, every(4, 0, 32), 4);
  c.inputs[0] = f32({7});
  expect_user_error([&] { op_graph("densify", c); },
                    "7 active units are not equally many of each of 8 groups");
}

TEST(Densify, RefusesAnIndexOfAnotherSize) {
  OpCase c = densify_case({4, 3}, 1, {0, 5});
  c.inputs[0] = f32({3});
  expect_user_error([&] { op_graph("densify", c); },
                    "densify: 3 active units need an index of 16 bytes, got (12)");
}

TEST(Densify, RefusesBlocksThatDoNotDivideTheOutputs) {
  OpCase c = densify_case({32, 3}, 16, {0});
  c.attributes.set("shape", std::vector<int64_t>{24, 4});
  expect_user_error([&] { op_graph("densify", c); },
                    "densify: block is 1 or 16 and divides the outputs, got 16 for [24,4]");
}

TEST(SparseIndex, IsRecognised) {
  const std::vector<int64_t> units = {3, 70000, 70001, 135000};
  const SparseShape shape({1400, 100}, 1, 1);
  std::vector<uint8_t> bytes = index_of(units, shape);
  const auto valid = [&] { return SparseIndex(bytes.data(), shape, 4).is_valid(); };
  EXPECT_TRUE(valid());
  EXPECT_FALSE(SparseIndex(bytes.data(), SparseShape({1340, 100}, 1, 1), 4).is_valid());
  EXPECT_EQ(units_of(as_doubles(bytes), shape, 4), units);
  for (const size_t place : {size_t{0}, size_t{4}, size_t{12}, size_t{18}}) {
    const uint8_t before = std::exchange(bytes[place], uint8_t{255});
    EXPECT_FALSE(valid()) << place;
    bytes[place] = before;
  }
}

// Of every size of group, places of 1 to 5 bits.
TEST(SparseIndex, OfGroupsIsWhatWasWritten) {
  for (const int64_t group : {2, 4, 8, 16, 32}) {
    const SparseShape shape({70, 1024}, 1, group);  // two tiles
    for (const int64_t each : {int64_t{1}, group / 2, group - 1}) {
      std::vector<int64_t> units;
      for (int64_t g = 0; g < shape.groups(); ++g) {
        for (int64_t i = 0; i < each; ++i) units.push_back(g * group + (each == 1 ? g % group : i));
      }
      std::vector<uint8_t> bytes = index_of(units, shape);
      const auto count = std::ssize(units);
      EXPECT_LE(std::ssize(bytes) - count * std::countr_zero(static_cast<uint64_t>(group)) / 8, 6);
      EXPECT_EQ(units_of(as_doubles(bytes), shape, count), units) << each << ':' << group;
      EXPECT_TRUE(SparseIndex(bytes.data(), shape, count).is_valid());
      std::fill(bytes.begin(), bytes.end(), uint8_t{0});  // all places of a group the same
      EXPECT_EQ(SparseIndex(bytes.data(), shape, count).is_valid(), each == 1);
    }
  }
}

}  // namespace
}  // namespace thimble
