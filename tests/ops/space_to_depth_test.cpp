#include <gtest/gtest.h>

#include "support/check_op.h"
#include "support/expect_error.h"

namespace thimble {
namespace {

Attributes block(int64_t side) { return {{"block", side}}; }

TEST(SpaceToDepth, HoldsItsContract) {
  check_op("space_to_depth",
           {{.inputs = {f32({2, 3, 4, 6})}},
            {.inputs = {f32({1, 5, 6, 9})}, .attributes = block(3)},
            {.inputs = {f32({3, 16, 4, 2})}, .seed_parts = 2},
            {.inputs = {f32({2, 16, 2, 2})}},           // pixels alone remain
            {.inputs = {constant({2, 32, 20, 20})}}});  // large enough for threads
}

TEST(DepthToSpace, HoldsItsContract) {
  check_op("depth_to_space", {{.inputs = {f32({2, 12, 2, 3})}},
                              {.inputs = {f32({1, 18, 2, 3})}, .attributes = block(3)},
                              {.inputs = {f32({2, 64, 2, 1})}, .seed_parts = 2},
                              {.inputs = {constant({2, 128, 10, 10})}}});
}

TEST(SpaceToDepth, FirstPhaseComesFirst) {
  const OpCase c = {.inputs = {f32({1, 2, 2, 2}, exactly({1, 2, 3, 4, 5, 6, 7, 8}))}};
  EXPECT_EQ(output_shape("space_to_depth", c), (Shape{1, 8, 1, 1}));
  EXPECT_EQ(run_op("space_to_depth", c)[0], (std::vector<double>{1, 5, 2, 6, 3, 7, 4, 8}));
}

TEST(SpaceToDepth, SavesNothing) {
  EXPECT_EQ(saved_by("space_to_depth", {.inputs = {f32({2, 3, 4, 6})}}), "");
}

TEST(SpaceToDepth, NamesWhatDoesNotFit) {
  const auto infer = [](const std::string& op, const Shape& src, int64_t side) {
    op_graph(op, {.inputs = {f32(src)}, .attributes = block(side)});
  };
  expect_user_error(
      [&] {
        infer("space_to_depth", {2, 3, 4, 5}, 2);
      },
      "whose sides are multiples of 2, got (2, 3, 4, 5)");
  expect_user_error([&] { infer("space_to_depth", {2, 3}, 2); }, "src must be (N, C, H, W)");
  expect_user_error([&] { infer("space_to_depth", {2, 3, 4, 4}, 1); }, "block is 1, needs 2 to 64");
  expect_user_error(
      [&] {
        infer("depth_to_space", {2, 6, 4, 4}, 2);
      },
      "whose channels are a multiple of 4, got (2, 6, 4, 4)");
  expect_user_error([&] { infer("depth_to_space", {2, 8, 4, 4}, 0); }, "block is 0");
}

}  // namespace
}  // namespace thimble
