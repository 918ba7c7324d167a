#include <gtest/gtest.h>

#include "support/check_op.h"
#include "support/expect_error.h"
#include "support/sparse_bytes.h"

namespace thimble {
namespace {

OpCase densify_case(const Shape& dense, int64_t block, const std::vector<int64_t>& units) {
  const SparseShape shape(dense, block);
  const std::vector<uint8_t> index = index_of(units, shape.units());
  const auto values = static_cast<int64_t>(units.size()) * block;
  return {.inputs = {f32({values}),
                     {{std::ssize(index)}, ElementType::u8, exactly(as_doubles(index)), false}},
          .attributes = {{"shape", std::vector<int64_t>{dense.begin(), dense.end()}},
                         {"block", block}}};
}

TEST(Densify, HoldsItsContract) {
  check_op("densify", {densify_case({4, 3, 2, 2}, 1, every(5, 1, 48)),
                       densify_case({32, 3, 1, 1}, 16, {0, 2, 5}),
                       densify_case({300, 250}, 1, every(7, 3, 75000)),  // two tiles
                       densify_case({300, 250}, 1, {74999})});           // one of them empty
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
  const std::vector<int64_t> units = {3, 70000, 70001, 131000};
  std::vector<uint8_t> bytes = index_of(units, 140000);
  const auto valid = [&] { return SparseIndex(bytes.data(), 140000, 4).is_valid(140000); };
  EXPECT_TRUE(valid());
  EXPECT_FALSE(SparseIndex(bytes.data(), 140000, 4).is_valid(131000));
  EXPECT_EQ(units_of(as_doubles(bytes), 140000, 4), units);
  for (const size_t place : {size_t{0}, size_t{4}, size_t{12}, size_t{18}}) {
    const uint8_t before = std::exchange(bytes[place], uint8_t{255});
    EXPECT_FALSE(valid()) << place;
    bytes[place] = before;
  }
}

}  // namespace
}  // namespace thimble
