#include <gtest/gtest.h>

#include <cmath>

#include "support/check_op.h"

namespace thimble {
namespace {

TEST(Tanh, HoldsItsContract) {
  check_op("tanh", {{.inputs = {f32({2, 3, 5, 7}, uniform(-4, 4))}}, {.inputs = {f32({3, 4})}}});
}

TEST(Tanh, StaysBetweenMinusOneAndOne) {
  const auto dst = run_op("tanh", {.inputs = {f32({4}, exactly({0, 1, 1000, -1000}))}})[0];
  EXPECT_EQ(dst[0], 0);
  EXPECT_DOUBLE_EQ(dst[1], std::tanh(1.0));
  EXPECT_EQ(dst[2], 1);
  EXPECT_EQ(dst[3], -1);
}

TEST(Tanh, SavesItsOutput) { EXPECT_EQ(saved_by("tanh", {.inputs = {f32({4})}}), "dst"); }

}  // namespace
}  // namespace thimble
