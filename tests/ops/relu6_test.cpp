#include <gtest/gtest.h>

#include "support/check_op.h"

namespace thimble {
namespace {

TEST(Relu6, HoldsItsContract) {
  const Draw wide = away_from({0, 6}, 1e-3, -4, 10);
  check_op("relu6", {{.inputs = {f32({2, 3, 5, 7}, wide)}},
                     {.inputs = {f32({3, 4}, wide)}, .complex_step = false},
                     {.inputs = {f32({1}, wide)}}});
}

TEST(Relu6, StaysBetweenZeroAndSix) {
  EXPECT_EQ(run_op("relu6", {.inputs = {f32({6}, exactly({-2, 0, 0.5, 5.5, 6, 9}))}})[0],
            (std::vector<double>{0, 0, 0.5, 5.5, 6, 6}));
}

TEST(Relu6, SavesItsOutput) { EXPECT_EQ(saved_by("relu6", {.inputs = {f32({4})}}), "dst"); }

}  // namespace
}  // namespace thimble
