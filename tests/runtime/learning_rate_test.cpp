#include "runtime/learning_rate.h"

#include <gtest/gtest.h>

#include <cmath>

#include "support/expect_error.h"

namespace thimble {
namespace {

OptimizerChoice with(const std::string& schedule, double warmup_epochs = 0) {
  OptimizerChoice choice;
  choice.learning_rate = 0.5;
  choice.schedule = schedule;
  choice.warmup_epochs = warmup_epochs;
  return choice;
}

TEST(LearningRate, ConstantStays) {
  for (const int64_t step : {0, 1, 39, 1000}) {
    EXPECT_EQ(learning_rate(with("constant"), step, 10, 4), 0.5);
  }
}

TEST(LearningRate, CosineFallsFromTheFullRateTowardsZero) {
  const OptimizerChoice choice = with("cosine");
  EXPECT_EQ(learning_rate(choice, 0, 10, 4), 0.5);
  EXPECT_DOUBLE_EQ(learning_rate(choice, 10, 10, 4), 0.25 * (1 + std::sqrt(0.5)));
  EXPECT_EQ(learning_rate(choice, 20, 10, 4), 0.25);
  EXPECT_DOUBLE_EQ(learning_rate(choice, 30, 10, 4), 0.25 * (1 - std::sqrt(0.5)));
  EXPECT_NEAR(learning_rate(choice, 39, 10, 4), 0.00077066656671801, 1e-17);
  EXPECT_EQ(learning_rate(choice, 40, 10, 4), 0);
  EXPECT_EQ(learning_rate(choice, 41, 10, 4), 0);
}

TEST(LearningRate, StepMultipliesFromTheFirstStepOfItsEpochs) {
  OptimizerChoice choice = with("step");
  choice.step_epochs = {2, 3};
  choice.step_factor = 0.5;
  EXPECT_EQ(learning_rate(choice, 0, 10, 4), 0.5);
  EXPECT_EQ(learning_rate(choice, 19, 10, 4), 0.5);
  EXPECT_EQ(learning_rate(choice, 20, 10, 4), 0.25);
  EXPECT_EQ(learning_rate(choice, 29, 10, 4), 0.25);
  EXPECT_EQ(learning_rate(choice, 30, 10, 4), 0.125);
  EXPECT_EQ(learning_rate(choice, 1000, 10, 4), 0.125);
}

TEST(LearningRate, WarmupEndsWithTheFullRate) {
  const OptimizerChoice choice = with("constant", 0.4);  // 4 steps
  EXPECT_EQ(learning_rate(choice, 0, 10, 4), 0.125);
  EXPECT_EQ(learning_rate(choice, 1, 10, 4), 0.25);
  EXPECT_EQ(learning_rate(choice, 2, 10, 4), 0.375);
  EXPECT_EQ(learning_rate(choice, 3, 10, 4), 0.5);
  EXPECT_EQ(learning_rate(choice, 4, 10, 4), 0.5);
}

TEST(LearningRate, CosineBeginsAfterWarmup) {
  const OptimizerChoice choice = with("cosine", 2);  // steps 0-19, then 20 steps of cosine
  EXPECT_EQ(learning_rate(choice, 0, 10, 4), 0.025);
  EXPECT_EQ(learning_rate(choice, 19, 10, 4), 0.5);
  EXPECT_EQ(learning_rate(choice, 20, 10, 4), 0.5);
  EXPECT_EQ(learning_rate(choice, 30, 10, 4), 0.25);
  EXPECT_EQ(learning_rate(choice, 40, 10, 4), 0);
}

TEST(LearningRate, WarmupLongerThanTrainingTakesAllOfIt) {
  const OptimizerChoice choice = with("cosine", 1e300);
  EXPECT_EQ(learning_rate(choice, 0, 10, 1), 0.05);
  EXPECT_EQ(learning_rate(choice, 9, 10, 1), 0.5);
  EXPECT_EQ(learning_rate(choice, 10, 10, 1), 0);
}

TEST(LearningRate, WarmupOfLessThanHalfAStepIsNone) {
  EXPECT_EQ(learning_rate(with("constant", 0.04), 0, 10, 1), 0.5);
}

TEST(LearningRate, EpochsWithoutStepsAreABug) {
  expect_internal_error([] { learning_rate(with("constant"), 0, 0, 1); }, "1 epochs of 0");
}

}  // namespace
}  // namespace thimble
