#include <gtest/gtest.h>

#include "support/check_op.h"
#include "support/expect_error.h"

namespace thimble {
namespace {

TEST(ChannelSum, HoldsItsContract) {
  check_op("channel_sum", {{.inputs = {constant({2, 3, 5, 7})}},
                           {.inputs = {constant({3, 19, 4, 4})}},
                           {.inputs = {constant({1, 48, 9, 9})}},
                           {.inputs = {constant({2, 16, 1, 1})}},
                           {.inputs = {constant({5, 4})}}});
}

TEST(ChannelSum, AddsUpBatchAndPixels) {
  const OpCase c = {.inputs = {constant({2, 2, 1, 2}, exactly({1, 2, 3, 4, 10, 20, 30, 40}))}};
  EXPECT_EQ(run_op("channel_sum", c)[0], (std::vector<double>{33, 77}));
}

TEST(ChannelSum, NamesWhatDoesNotFit) {
  expect_user_error([] { op_graph("channel_sum", {.inputs = {constant({2})}}); },
                    "channel_sum: src must be (N, C, H, W) or (N, C), got (2)");
}

}  // namespace
}  // namespace thimble
