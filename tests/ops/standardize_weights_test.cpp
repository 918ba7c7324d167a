#include <gtest/gtest.h>

#include "support/check_backends.h"
#include "support/check_op.h"
#include "support/expect_error.h"

namespace thimble {
namespace {

TEST(StandardizeWeights, HoldsItsContract) {
  check_op("standardize_weights",
           {{.inputs = {f32({4, 3, 3, 3})}},
            {.inputs = {f32({19, 1, 5, 5})}, .seed_parts = 2},
            {.inputs = {f32({2, 2, 1, 1})}, .attributes = {{"epsilon", 0.25}}},
            {.inputs = {f32({3, 40, 1, 1}, uniform(99, 101))}, .f32_tolerance = 1e-4}});
}

// torch 1.13: (w - mean) / (w.view(2, -1).std(dim=1) + 1e-5).
TEST(StandardizeWeights, DividesByTheUnbiasedDeviationPlusEpsilon) {
  const OpCase c = {.inputs = {f32({2, 1, 2, 2}, exactly({1, 2, 3, 6, 0.5, -1, 2, 0.25}))}};
  expect_near(run_op("standardize_weights", c)[0],
              {-0.9258158, -0.4629079, 0, 1.3887237, 0.0507669, -1.1676385, 1.2691724, -0.1523007},
              1e-6, "standardised");
}

TEST(StandardizeWeights, MakesZerosOfEqualWeights) {
  const OpCase c = {.inputs = {f32({1, 1, 2, 2}, exactly({3}))}};
  EXPECT_EQ(run_op("standardize_weights", c)[0], std::vector<double>(4, 0));
}

TEST(StandardizeWeights, RefusesSingleWeights) {
  expect_user_error(
      [] {
        op_graph("standardize_weights", {.inputs = {f32({8, 1, 1, 1})}});
      },
      "must be (O, I, R, S) with two or more for each output channel, got (8, 1, 1, 1)");
}

}  // namespace
}  // namespace thimble
