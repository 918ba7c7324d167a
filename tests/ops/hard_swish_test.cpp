#include <gtest/gtest.h>

#include "support/check_op.h"

namespace thimble {
namespace {

TEST(HardSwish, HoldsItsContract) {
  const Draw wide = away_from({-3, 3}, 1e-3, -5, 5);
  check_op("hard_swish", {{.inputs = {f32({2, 3, 5, 7}, wide)}},
                          {.inputs = {f32({3, 4}, wide)}, .complex_step = false},
                          {.inputs = {f32({1}, wide)}}});
}

TEST(HardSwish, IsZeroThenAParabolaThenTheIdentity) {
  EXPECT_EQ(run_op("hard_swish", {.inputs = {f32({6}, exactly({-4, -3, -1.5, 0, 3, 4}))}})[0],
            (std::vector<double>{0, 0, -0.375, 0, 3, 4}));
}

TEST(HardSwish, SavesItsInput) { EXPECT_EQ(saved_by("hard_swish", {.inputs = {f32({4})}}), "src"); }

}  // namespace
}  // namespace thimble
