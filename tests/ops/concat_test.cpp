#include <gtest/gtest.h>

#include "support/check_op.h"
#include "support/expect_error.h"

namespace thimble {
namespace {

Attributes along(int64_t axis) { return {{"axis", axis}}; }

TEST(Concat, HoldsItsContract) {
  check_op("concat",
           {// Whole blocks of channels.
            {.inputs = {f32({2, 16, 5, 3}), f32({2, 32, 5, 3}), f32({2, 48, 5, 3})}},
            {.inputs = {f32({2, 3, 5, 7}), f32({2, 1, 5, 7}), f32({2, 4, 5, 7})}},
            {.inputs = {f32({2, 3})}, .seed_parts = 2},
            {.inputs = {f32({1, 3}), f32({4, 3})}, .attributes = along(0)},
            {.inputs = {f32({2, 3, 4, 1}), constant({2, 3, 4, 5})}, .attributes = along(3)},
            {.inputs = {constant({40, 500}), f32({40, 1})}}});  // large enough for threads
}

TEST(Concat, JoinsRowByRow) {
  const OpCase c = {.inputs = {f32({2, 1}, exactly({1, 4})), f32({2, 2}, exactly({2, 3, 5, 6}))}};
  EXPECT_EQ(output_shape("concat", c), (Shape{2, 3}));
  EXPECT_EQ(run_op("concat", c)[0], (std::vector<double>{1, 2, 3, 4, 5, 6}));
}

TEST(Concat, NamesWhatDoesNotFit) {
  const auto infer = [](std::vector<TestInput> inputs, int64_t axis) {
    op_graph("concat", {.inputs = std::move(inputs), .attributes = along(axis)});
  };
  expect_user_error([&] { infer({}, 1); }, "needs at least one input");
  expect_user_error([&] { infer({f32({2, 3})}, 2); }, "axis 2 is not one of the 2 axes of (2, 3)");
  expect_user_error([&] { infer({f32({2, 3})}, -1); }, "axis -1 is not one of");
  expect_user_error(
      [&] {
        infer({f32({2, 3}), f32({4, 3})}, 1);
      },
      "shapes (2, 3) and (4, 3) may differ in axis 1 only");
  expect_user_error(
      [&] {
        infer({f32({2, 3}), f32({2, 3, 1})}, 1);
      },
      "shapes (2, 3) and (2, 3, 1) may differ");
}

}  // namespace
}  // namespace thimble
