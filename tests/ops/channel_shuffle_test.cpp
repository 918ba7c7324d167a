#include <gtest/gtest.h>

#include "support/check_op.h"
#include "support/expect_error.h"

namespace thimble {
namespace {

TEST(ChannelShuffle, HoldsItsContract) {
  check_op("channel_shuffle",
           {{.inputs = {f32({2, 6, 3, 5})}, .attributes = {{"groups", int64_t{2}}}},
            {.inputs = {f32({2, 6, 3, 5})}, .attributes = {{"groups", int64_t{3}}}},
            {.inputs = {f32({1, 58, 2, 2})}, .attributes = {{"groups", int64_t{2}}}},
            {.inputs = {f32({2, 32, 2, 3})}, .attributes = {{"groups", int64_t{4}}}},
            {.inputs = {f32({2, 4, 1, 1})}, .attributes = {{"groups", int64_t{4}}}}});
}

// torch 1.13: F.channel_shuffle(x, 2).
TEST(ChannelShuffle, TakesOneChannelOfEachGroupInTurn) {
  const OpCase c = {.inputs = {f32({1, 6, 1, 1}, exactly({0, 1, 2, 3, 4, 5}))},
                    .attributes = {{"groups", int64_t{2}}}};
  EXPECT_EQ(run_op("channel_shuffle", c)[0], (std::vector<double>{0, 3, 1, 4, 2, 5}));
}

TEST(ChannelShuffle, NamesWhatDoesNotFit) {
  expect_user_error(
      [] {
        op_graph("channel_shuffle",
                 {.inputs = {f32({1, 6, 2, 2})}, .attributes = {{"groups", int64_t{4}}}});
      },
      "channel_shuffle: 4 groups must divide the 6 channels of src");
  expect_user_error(
      [] {
        op_graph("channel_shuffle", {.inputs = {f32({1, 6})}});
      },
      "src must be (N, C, H, W), got (1, 6)");
}

}  // namespace
}  // namespace thimble
