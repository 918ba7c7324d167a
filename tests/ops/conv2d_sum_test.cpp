#include <gtest/gtest.h>

#include "ops/core/builder.h"
#include "support/check_op.h"
#include "support/expect_error.h"

namespace thimble {
namespace {

Attributes conv(int64_t channels, double sign = 1) {
  return {{"out_channels", channels},
          {"kernel", both(3)},
          {"padding", ints({1, 1, 1, 1})},
          {"sign", sign}};
}

Attributes with(Attributes a, const std::string& name, AttributeValue value) {
  a.set(name, std::move(value));
  return a;
}

TEST(Conv2dSum, HoldsItsContract) {
  check_op("conv2d_sum", {{.inputs = {constant({2, 3, 5, 7}), constant({4, 3, 3, 3}), absent(),
                                      constant({2, 4, 5, 7})},
                           .attributes = conv(4)},
                          {.inputs = {constant({3, 16, 6, 6}), constant({32, 16, 3, 3}),
                                      constant({32}), constant({3, 32, 6, 6})},
                           .attributes = with(conv(32, -1), "bias", int64_t{1})},
                          // Several parts of the batch: more than half a MiB.
                          {.inputs = {constant({6, 16, 64, 64}), constant({16, 16, 3, 3}), absent(),
                                      constant({6, 16, 64, 64})},
                           .attributes = conv(16, -1)}});
}

TEST(Conv2dBackwardDataSum, HoldsItsContract) {
  const auto a = [](int64_t channels, int64_t side) {
    return with(conv(channels), "image", both(side));
  };
  check_op(
      "conv2d_backward_data_sum",
      {{.inputs = {constant({4, 3, 3, 3}), constant({2, 4, 6, 6}), constant({2, 3, 6, 6})},
        .attributes = a(4, 6)},
       {.inputs = {constant({16, 32, 3, 3}), constant({5, 16, 8, 8}), constant({5, 32, 8, 8})},
        .attributes = a(16, 8)},
       {.inputs = {constant({16, 16, 3, 3}), constant({6, 16, 64, 64}), constant({6, 16, 64, 64})},
        .attributes = a(16, 64)}});
}

TEST(Conv2dSum, IsTheTermAndTheConvolution) {
  const TestInput src = f32({2, 1, 1, 2}, exactly({1, 2, 3, 4}));
  const TestInput weight = f32({1, 1, 1, 1}, exactly({10}));
  const TestInput term = f32({2, 1, 1, 2}, exactly({5, 6, 7, 8}));
  const auto run = [&](double sign) {
    return run_op("conv2d_sum", {.inputs = {src, weight, absent(), term},
                                 .attributes = {{"out_channels", int64_t{1}}, {"sign", sign}}})[0];
  };
  EXPECT_EQ(run(1), (std::vector<double>{15, 26, 37, 48}));
  EXPECT_EQ(run(-1), (std::vector<double>{-5, -14, -23, -32}));
}

TEST(Conv2dSum, NeedsATermOfItsShape) {
  expect_user_error(
      [] {
        op_graph("conv2d_sum",
                 {.inputs = {f32({2, 3, 5, 5}), f32({4, 3, 3, 3}), absent(), f32({2, 3, 5, 5})},
                  .attributes = conv(4)});
      },
      "conv2d_sum: the addend must be (2, 4, 5, 5), got (2, 3, 5, 5)");
}

}  // namespace
}  // namespace thimble
