#include <gtest/gtest.h>

#include "support/check_op.h"
#include "support/expect_error.h"

namespace thimble {
namespace {

TEST(ChannelNorm, HoldsItsContract) {
  check_op("channel_norm",
           {{.inputs = {constant({2, 3, 5, 7})}}, {.inputs = {constant({1, 17, 1, 1})}}});
}

TEST(ChannelNorm, IsTheMeanOverTheExamples) {
  EXPECT_EQ(run_op("channel_norm", {.inputs = {f32({2, 2, 1, 2}, exactly({3, 4, 0, 0,  //
                                                                          0, -7, 6, 8}))}})[0],
            (std::vector<double>{6, 5}));
}

TEST(ChannelNorm, NamesWhatDoesNotFit) {
  expect_user_error(
      [] {
        op_graph("channel_norm", {.inputs = {f32({2, 3})}});
      },
      "channel_norm: src must be (N, C, H, W), got (2, 3)");
}

}  // namespace
}  // namespace thimble
