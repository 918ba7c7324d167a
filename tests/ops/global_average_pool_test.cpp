#include <gtest/gtest.h>

#include "ops/core/builder.h"
#include "support/check_op.h"
#include "support/expect_error.h"

namespace thimble {
namespace {

TEST(GlobalAveragePool, HoldsItsContract) {
  check_op("global_average_pool", {{.inputs = {f32({2, 3, 5, 7})}, .seed_parts = 2},
                                   {.inputs = {f32({1, 4, 1, 1})}},
                                   {.inputs = {f32({3, 1, 1, 16})}}});
}

TEST(GlobalAveragePool, IsTheMeanOfEachChannel) {
  const OpCase c = {.inputs = {f32({1, 2, 2, 2}, exactly({1, 2, 3, 4, -1, 0, 0, 0}))}};
  EXPECT_EQ(output_shape("global_average_pool", c), (Shape{1, 2, 1, 1}));
  EXPECT_EQ(run_op("global_average_pool", c)[0], (std::vector<double>{2.5, -0.25}));
}

TEST(GlobalAveragePool, NamesWhatDoesNotFit) {
  expect_user_error(
      [] {
        op_graph("global_average_pool", {.inputs = {f32({2, 3})}});
      },
      "src must be (N, C, H, W), got (2, 3)");
  const auto backward = [](const Shape& diff, int64_t image) {
    op_graph("global_average_pool_backward",
             {.inputs = {f32(diff)}, .attributes = {{"image", both(image)}}});
  };
  expect_user_error([&] { backward({2, 3, 1, 2}, 4); }, "must be (N, C, 1, 1), got (2, 3, 1, 2)");
  expect_user_error([&] { backward({2, 3, 1, 1}, 0); }, "two positive sizes, got [0,0]");
}

}  // namespace
}  // namespace thimble
