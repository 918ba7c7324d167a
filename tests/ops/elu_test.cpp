#include <gtest/gtest.h>

#include <cmath>

#include "support/check_op.h"
#include "support/expect_error.h"

namespace thimble {
namespace {

TEST(Elu, HoldsItsContract) {
  check_op("elu", {{.inputs = {f32({2, 3, 5, 7}, uniform(-4, 4))}},
                   {.inputs = {f32({3, 4})}, .attributes = {{"alpha", 0.3}}},
                   {.inputs = {f32({2, 9}, away_from({0}, 1e-3))}, .complex_step = false}});
}

TEST(Elu, BendsAtZeroTowardsMinusAlpha) {
  const auto dst = run_op(
      "elu", {.inputs = {f32({4}, exactly({2, 0, -1, -1000}))}, .attributes = {{"alpha", 0.5}}})[0];
  EXPECT_EQ(dst[0], 2);
  EXPECT_EQ(dst[1], 0);
  EXPECT_DOUBLE_EQ(dst[2], 0.5 * (std::exp(-1.0) - 1));
  EXPECT_EQ(dst[3], -0.5);
}

TEST(Elu, SavesItsOutput) { EXPECT_EQ(saved_by("elu", {.inputs = {f32({4})}}), "dst"); }

TEST(Elu, NeedsAPositiveAlpha) {
  expect_user_error(
      [] {
        op_graph("elu", {.inputs = {f32({4})}, .attributes = {{"alpha", 0.0}}});
      },
      "elu: alpha must be positive, got 0; use relu for 0");
}

}  // namespace
}  // namespace thimble
