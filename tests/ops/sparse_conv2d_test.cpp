#include <gtest/gtest.h>

#include <set>

#include "ops/core/drop_grow.h"
#include "support/check_op.h"
#include "support/expect_error.h"
#include "support/sparse_bytes.h"

namespace thimble {
namespace {

OpCase pointwise_case(const Shape& src, int64_t outputs, const std::vector<int64_t>& units) {
  const Shape dense{outputs, src[1], 1, 1};
  const std::vector<uint8_t> index = index_of(units, SparseShape(dense, 16, 1));
  return {.inputs = {f32(src),
                     f32({std::ssize(units) * 16}),
                     {{std::ssize(index)}, ElementType::u8, exactly(as_doubles(index)), false}},
          .attributes = {{"shape", std::vector<int64_t>{dense.begin(), dense.end()}}}};
}

TEST(SparseConv2d, HoldsItsContract) {
  check_op("sparse_conv2d",
           {pointwise_case({2, 32, 5, 7}, 32, every(3, 1, 64)),    // a part of every row
            pointwise_case({1, 48, 14, 14}, 64, {0, 1, 47, 150}),  // blocks without any
            pointwise_case({3, 16, 1, 1}, 16, every(1, 0, 16)),    // all
            pointwise_case({1, 20, 4, 9}, 16, {3, 17, 19})});      // channels that fill no block
}

// dst[o] = sum over active (o, c) of value * src[c].
TEST(SparseConv2d, MultipliesActiveBlocks) {
  OpCase c = pointwise_case({1, 2, 1, 1}, 16, {1});
  c.inputs[0].draw = exactly({7, 2});
  std::vector<double> values(16), expected(16);
  for (size_t k = 0; k < 16; ++k) {
    values[k] = static_cast<double>(k);
    expected[k] = 2 * values[k];
  }
  c.inputs[1].draw = exactly(values);
  EXPECT_EQ(run_op("sparse_conv2d", c)[0], expected);
}

TEST(SparseConv2d, CandidatesAreThoseOfTheDenseGradient) {
  const OpCase c = pointwise_case({1, 4, 1, 1}, 32, {0, 6});
  Attributes a = c.attributes;
  a.set("values", int64_t{32});
  a.set("every", int64_t{2});
  a.set("drop", 0.99);
  // The gradient of (o, c) is diff_dst[o] * src[c]: largest for the second block and channel 3.
  std::vector<double> diff_dst(32, 1.0);
  std::fill(diff_dst.begin() + 16, diff_dst.end(), 3.0);
  const std::vector<double> found =
      run_op("sparse_conv2d_candidates",
             {.inputs = {constant({1, 4, 1, 1}, exactly({1, 1, 1, -4})),
                         constant({1, 32, 1, 1}, exactly(diff_dst)), c.inputs[2],
                         i32({4}, exactly({2, 0, 0, 0})), i32({1}, exactly({-1}))},
              .attributes = a})[0];
  EXPECT_EQ(found, (std::vector<double>{7}));
}

TEST(SparseConv2d, RefusesAWindow) {
  OpCase c = pointwise_case({1, 16, 4, 4}, 16, {0});
  c.attributes.set("shape", std::vector<int64_t>{16, 16, 3, 3});
  expect_user_error([&] { op_graph("sparse_conv2d", c); },
                    "sparse_conv2d: needs a weight (outputs, 16, 1, 1), got [16,16,3,3]");
}

}  // namespace
}  // namespace thimble
