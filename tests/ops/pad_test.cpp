#include <gtest/gtest.h>

#include "ops/core/builder.h"
#include "support/check_op.h"
#include "support/expect_error.h"

namespace thimble {
namespace {

Attributes border(std::vector<int64_t> padding) { return {{"padding", ints(std::move(padding))}}; }

TEST(Pad, HoldsItsContract) {
  check_op("pad",
           {{.inputs = {f32({2, 3, 5, 7})}, .attributes = border({1, 2, 3, 0})},
            {.inputs = {f32({1, 1, 1, 1})}, .attributes = border({0, 1, 1, 4})},
            {.inputs = {f32({2, 2, 3, 3})}, .attributes = border({0, 0, 0, 0}), .seed_parts = 2}});
}

TEST(Pad, PutsZerosAroundTheImage) {
  const OpCase c = {.inputs = {f32({1, 1, 2, 2}, exactly({1, 2, 3, 4}))},
                    .attributes = border({0, 2, 1, 1})};
  EXPECT_EQ(output_shape("pad", c), (Shape{1, 1, 3, 5}));
  EXPECT_EQ(run_op("pad", c)[0],
            (std::vector<double>{0, 0, 1, 2, 0, 0, 0, 3, 4, 0, 0, 0, 0, 0, 0}));
}

TEST(Pad, NamesWhatDoesNotFit) {
  const auto infer = [](const Shape& src, std::vector<int64_t> padding) {
    op_graph("pad", {.inputs = {f32(src)}, .attributes = border(std::move(padding))});
  };
  expect_user_error(
      [&] {
        infer({2, 3}, {1, 1, 1, 1});
      },
      "images must be (N, C, H, W), got (2, 3)");
  expect_user_error([&] { infer({1, 1, 2, 2}, {1, 1}); }, "four sizes (top, left, bottom, right)");
  expect_user_error([&] { infer({1, 1, 2, 2}, {0, 0, -1, 0}); }, "none negative, got [0,0,-1,0]");
}

TEST(PadBackward, RefusesToCropEverything) {
  expect_user_error(
      [] {
        op_graph("pad_backward",
                 {.inputs = {f32({1, 1, 3, 3})}, .attributes = border({1, 0, 2, 0})});
      },
      "nothing is left of (1, 1, 3, 3) without padding [1,0,2,0]");
}

}  // namespace
}  // namespace thimble
