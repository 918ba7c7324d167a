#include <gtest/gtest.h>

#include "ops/core/builder.h"
#include "support/check_backends.h"
#include "support/check_op.h"
#include "support/expect_error.h"

namespace thimble {
namespace {

Attributes to(int64_t height, int64_t width) { return {{"size", ints({height, width})}}; }

TEST(UpsampleBilinear, HoldsItsContract) {
  check_op("upsample_bilinear",
           {{.inputs = {f32({2, 3, 4, 5})}, .attributes = to(8, 10)},
            {.inputs = {f32({2, 19, 3, 3})}, .attributes = to(7, 5), .seed_parts = 2},
            {.inputs = {f32({1, 16, 2, 2})}, .attributes = to(2, 2)},
            {.inputs = {f32({1, 32, 1, 1})}, .attributes = to(4, 3)},
            // Smaller.
            {.inputs = {f32({1, 2, 7, 6})}, .attributes = to(3, 2)},
            {.inputs = {f32({1, 8, 4, 4})}, .attributes = to(1, 1)}});
}

// torch 1.13: F.interpolate(x, size, mode="bilinear", align_corners=False).
TEST(UpsampleBilinear, IsPyTorchs) {
  expect_near(
      run_op("upsample_bilinear",
             {.inputs = {f32({1, 1, 2, 2}, exactly({1, 2, 3, 5}))}, .attributes = to(4, 4)})[0],
      {1, 1.25, 1.75, 2, 1.5, 1.8125, 2.4375, 2.75, 2.5, 2.9375, 3.8125, 4.25, 3, 3.5, 4.5, 5},
      1e-14, "twice the size");
  expect_near(
      run_op("upsample_bilinear", {.inputs = {f32({1, 1, 2, 3}, exactly({1, 2, 4, 0, 8, 16}))},
                                   .attributes = to(3, 5)})[0],
      {1, 1.4, 2, 3.2, 4, 0.5, 2.3, 5, 8, 10, 0, 3.2, 8, 12.8, 16}, 1e-14, "odd sizes");
}

TEST(UpsampleBilinear, SavesNothing) {
  EXPECT_EQ(saved_by("upsample_bilinear", {.inputs = {f32({1, 1, 2, 2})}, .attributes = to(4, 4)}),
            "");
}

TEST(UpsampleBilinear, NamesWhatDoesNotFit) {
  expect_user_error(
      [] {
        op_graph("upsample_bilinear", {.inputs = {f32({2, 3})}, .attributes = to(4, 4)});
      },
      "upsample_bilinear: images must be (N, C, H, W), got (2, 3)");
  expect_user_error(
      [] {
        op_graph("upsample_bilinear", {.inputs = {f32({2, 3, 4, 4})}});
      },
      "size must be two positive sizes, got [0,0]");
}

}  // namespace
}  // namespace thimble
