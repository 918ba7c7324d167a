#include <gtest/gtest.h>

#include "support/check_op.h"
#include "support/expect_error.h"

namespace thimble {
namespace {

// Planes of 15 pixels do not fill their mask bytes, 3 and 19 channels not their lanes.
TEST(MaskedRelu, HoldsItsContract) {
  for (const char* activation : {"relu", "relu6"}) {
    const Attributes a = {{"activation", std::string(activation)}};
    check_op("masked_relu",
             {{.inputs = {f32({2, 3, 3, 5}, uniform(-9, 9))}, .attributes = a},
              {.inputs = {f32({3, 19, 2, 4}, uniform(-9, 9))}, .attributes = a, .seed_parts = 2},
              {.inputs = {f32({1, 32, 9, 9}, uniform(-9, 9))}, .attributes = a},
              {.inputs = {f32({2, 16, 1, 1}, uniform(-9, 9))}, .attributes = a},
              {.inputs = {f32({4, 5}, uniform(-9, 9))}, .attributes = a}});
  }
}

TEST(MaskedRelu, KeepsABitForEachElement) {
  const OpCase c = {.inputs = {f32({1, 1, 3, 3}, exactly({1, -1, 0, 6, 5, 7, 8, 0.5, 3}))},
                    .attributes = {{"activation", std::string("relu6")}}};
  const auto out = run_op("masked_relu", c);
  EXPECT_EQ(out[0], (std::vector<double>{1, 0, 0, 6, 5, 6, 6, 0.5, 3}));
  EXPECT_EQ(out[1], (std::vector<double>{0b10010001, 1}));
  EXPECT_EQ(saved_by("masked_relu", c), "mask");
}

TEST(MaskedRelu, RefusesOtherActivations) {
  expect_user_error(
      [] {
        op_graph("masked_relu",
                 {.inputs = {f32({2, 3})}, .attributes = {{"activation", std::string("elu")}}});
      },
      "masked_relu: activation must be 'relu' or 'relu6', got 'elu'");
}

}  // namespace
}  // namespace thimble
