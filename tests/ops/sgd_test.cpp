#include <gtest/gtest.h>

#include "support/check_op.h"
#include "support/expect_error.h"

namespace thimble {
namespace {

OpCase step(Attributes attributes) {
  return {.inputs = {f32({2}, exactly({1, -2})), f32({2}, exactly({0.5, 4})),
                     constant({1}, exactly({0.5}))},
          .attributes = std::move(attributes)};
}

// One step with momentum from velocity (2, -4): the state is the fifth input.
OpCase step_with_velocity(Attributes attributes) {
  OpCase c = step(std::move(attributes));
  c.inputs.push_back(absent());
  c.inputs.push_back(f32({2}, exactly({2, -4})));
  return c;
}

TEST(Sgd, HoldsItsContract) {
  const Shape shape{4, 3, 3, 3};
  const std::vector<TestInput> inputs = {f32(shape), f32(shape), constant({1}, uniform(0.1, 1))};
  check_op("sgd",
           {{.inputs = inputs},
            {.inputs = inputs, .attributes = {{"momentum", 0.0}}},
            {.inputs = inputs, .attributes = {{"nesterov", int64_t{1}}, {"weight_decay", 0.125}}}});
}

TEST(Sgd, WithoutMomentumUpdatesTheWeightsAlone) {
  const auto updates = run_op("sgd", step({{"momentum", 0.0}, {"weight_decay", 0.5}}));
  ASSERT_EQ(updates.size(), 1u);
  EXPECT_EQ(updates[0], (std::vector<double>{1 - 0.5 * (0.5 + 0.5), -2 - 0.5 * (4 - 1)}));
}

TEST(Sgd, MomentumDecaysTheVelocityAndAddsTheGradient) {
  const auto updates =
      run_op("sgd", step_with_velocity({{"momentum", 0.5}, {"weight_decay", 0.5}}));
  ASSERT_EQ(updates.size(), 2u);
  EXPECT_EQ(updates[1], (std::vector<double>{0.5 * 2 + 1, 0.5 * -4 + 3}));
  EXPECT_EQ(updates[0], (std::vector<double>{1 - 0.5 * 2, -2 - 0.5 * 1}));
}

TEST(Sgd, NesterovLooksAheadByOneMomentumStep) {
  const auto updates =
      run_op("sgd", step_with_velocity({{"momentum", 0.5}, {"nesterov", int64_t{1}}}));
  ASSERT_EQ(updates.size(), 2u);
  EXPECT_EQ(updates[1], (std::vector<double>{0.5 * 2 + 0.5, 0.5 * -4 + 4}));
  EXPECT_EQ(updates[0],
            (std::vector<double>{1 - 0.5 * (0.5 + 0.5 * 1.5), -2 - 0.5 * (4 + 0.5 * 2)}));
}

TEST(Sgd, RefusesAGradientOfAnotherShape) {
  expect_user_error(
      [] {
        op_graph("sgd", {.inputs = {f32({2, 3}), f32({6}), constant({1})}});
      },
      "sgd: weights (2, 3) and gradient (6) must have one shape");
}

}  // namespace
}  // namespace thimble
