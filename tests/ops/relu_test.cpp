#include <gtest/gtest.h>

#include "support/check_op.h"

namespace thimble {
namespace {

TEST(Relu, HoldsItsContract) {
  check_op("relu", {{.inputs = {f32({2, 3, 5, 7})}},
                    {.inputs = {f32({3, 4})}, .seed_parts = 2},
                    {.inputs = {f32({1})}},
                    {.inputs = {f32({2, 9}, away_from({0}, 1e-3))}, .complex_step = false}});
}

TEST(Relu, IsZeroUpToZeroAndTheIdentityAbove) {
  EXPECT_EQ(run_op("relu", {.inputs = {f32({4}, exactly({-2, -0.0, 0.5, 3}))}})[0],
            (std::vector<double>{0, 0, 0.5, 3}));
}

TEST(Relu, SavesItsOutput) { EXPECT_EQ(saved_by("relu", {.inputs = {f32({4})}}), "dst"); }

}  // namespace
}  // namespace thimble
