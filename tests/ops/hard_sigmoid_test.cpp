#include <gtest/gtest.h>

#include "support/check_op.h"

namespace thimble {
namespace {

TEST(HardSigmoid, HoldsItsContract) {
  check_op("hard_sigmoid", {{.inputs = {f32({2, 3, 5, 7}, uniform(-5, 5))}},
                            {.inputs = {f32({2, 19, 3, 2}, uniform(-5, 5))}},
                            {.inputs = {f32({3, 4}, uniform(-5, 5))},
                             .attributes = {{"alpha", 0.2}, {"beta", 0.4}}}});
}

// torch 1.13: F.hardsigmoid.
TEST(HardSigmoid, IsPyTorchsUnlessAskedOtherwise) {
  const OpCase c = {.inputs = {f32({5}, exactly({-4, -1.5, 0, 1.5, 3}))}};
  EXPECT_EQ(run_op("hard_sigmoid", c)[0], (std::vector<double>{0, 0.25, 0.5, 0.75, 1}));
  const OpCase onnx = {.inputs = {f32({2}, exactly({1, 2.5}))}, .attributes = {{"alpha", 0.25}}};
  EXPECT_EQ(run_op("hard_sigmoid", onnx)[0], (std::vector<double>{0.75, 1}));
}

TEST(HardSigmoid, SavesItsOutput) {
  EXPECT_EQ(saved_by("hard_sigmoid", {.inputs = {f32({3})}}), "dst");
}

}  // namespace
}  // namespace thimble
