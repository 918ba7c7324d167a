#include <gtest/gtest.h>

#include "support/check_op.h"
#include "support/expect_error.h"

namespace thimble {
namespace {

Attributes range(int64_t axis, int64_t begin, int64_t end) {
  return {{"axis", axis}, {"begin", begin}, {"end", end}};
}

TEST(ReadChannels, HoldsItsContract) {
  check_op("read_channels",
           {{.inputs = {constant({4, 6, 3, 3})}, .attributes = range(1, 2, 5), .seeded = {}},
            {.inputs = {constant({40, 1, 3, 3})}, .attributes = range(0, 7, 30), .seeded = {}},
            {.inputs = {constant({7})}, .attributes = range(0, 6, 7), .seeded = {}}});
}

TEST(WriteChannels, HoldsItsContract) {
  check_op("write_channels", {{.inputs = {constant({4, 3, 3, 3}), constant({4, 6, 3, 3})},
                               .attributes = range(1, 2, 5),
                               .seeded = {}},
                              {.inputs = {constant({2, 5}), constant({6, 5})},
                               .attributes = range(0, 4, 6),
                               .seeded = {}}});
}

TEST(ReadChannels, CutsOneAxis) {
  EXPECT_EQ(run_op("read_channels", {.inputs = {constant({2, 3}, exactly({1, 2, 3, 4, 5, 6}))},
                                     .attributes = range(1, 1, 3)})[0],
            (std::vector<double>{2, 3, 5, 6}));
}

TEST(WriteChannels, LeavesTheOthersAsTheyAre) {
  EXPECT_EQ(run_op("write_channels", {.inputs = {constant({2, 1}, exactly({-1, -2})),
                                                 constant({2, 3}, exactly({1, 2, 3, 4, 5, 6}))},
                                      .attributes = range(1, 1, 2)})
                .back(),
            (std::vector<double>{1, -1, 3, 4, -2, 6}));
}

TEST(WriteChannels, NamesWhatDoesNotFit) {
  const auto infer = [](const std::string& op, std::vector<TestInput> inputs, const Attributes& a) {
    op_graph(op, {.inputs = std::move(inputs), .attributes = a});
  };
  expect_user_error(
      [&] {
        infer("read_channels", {constant({2, 6})}, range(2, 0, 1));
      },
      "read_channels: axis 2 is not one of the 2 axes of (2, 6)");
  expect_user_error(
      [&] {
        infer("read_channels", {constant({2, 6})}, range(1, 3, 7));
      },
      "read_channels: [3, 7) is not a range of axis 1 of (2, 6)");
  expect_user_error(
      [&] {
        infer("write_channels", {constant({2, 3}), constant({2, 6})}, range(1, 0, 2));
      },
      "write_channels: needs channels (2, 2), got (2, 3)");
}

}  // namespace
}  // namespace thimble
