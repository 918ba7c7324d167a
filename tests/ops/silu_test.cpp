#include <gtest/gtest.h>

#include <cmath>

#include "support/check_op.h"

namespace thimble {
namespace {

TEST(Silu, HoldsItsContract) {
  check_op("silu", {{.inputs = {f32({2, 3, 5, 7})}},
                    {.inputs = {f32({3, 4}, uniform(-8, 8))}},
                    {.inputs = {f32({1})}}});
}

TEST(Silu, IsTheInputTimesItsSigmoid) {
  const std::vector<double> dst = run_op("silu", {.inputs = {f32({3}, exactly({0, 1, -1000}))}})[0];
  EXPECT_EQ(dst[0], 0);
  EXPECT_DOUBLE_EQ(dst[1], 1 / (1 + std::exp(-1.0)));
  EXPECT_EQ(dst[2], 0);
}

TEST(Silu, SavesItsInput) { EXPECT_EQ(saved_by("silu", {.inputs = {f32({4})}}), "src"); }

}  // namespace
}  // namespace thimble
