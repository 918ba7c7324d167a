#include "runtime/learning_rate.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

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

using Change = std::function<void(OptimizerChoice&)>;

std::string refusal(const Change& change) {
  OptimizerChoice choice;
  change(choice);
  try {
    check_optimizer(choice);
  } catch (const UserError& error) {
    return error.what();
  }
  return "";
}

const double kNan = std::numeric_limits<double>::quiet_NaN();
const double kInfinity = std::numeric_limits<double>::infinity();

TEST(CheckOptimizer, GoodChoicesPass) {
  EXPECT_EQ(refusal([](OptimizerChoice&) {}), "");
  EXPECT_EQ(refusal([](OptimizerChoice& c) { c.learning_rate = 0; }), "");
  EXPECT_EQ(refusal([](OptimizerChoice& c) { c.momentum = 0; }), "");
  EXPECT_EQ(refusal([](OptimizerChoice& c) { c.nesterov = true; }), "");
  EXPECT_EQ(refusal([](OptimizerChoice& c) { c.name = "adamw"; }), "");
  EXPECT_EQ(refusal([](OptimizerChoice& c) { c.schedule = "constant"; }), "");
  EXPECT_EQ(refusal([](OptimizerChoice& c) {
              c.schedule = "step";
              c.step_epochs = {1, 5, 6};
              c.warmup_epochs = 1;
            }),
            "");
}

TEST(CheckOptimizer, UnknownNamesListTheKnown) {
  EXPECT_EQ(refusal([](OptimizerChoice& c) { c.name = "lion"; }),
            "optimizer.name is \"lion\", needed one of sgd, adam, adamw");
  EXPECT_EQ(refusal([](OptimizerChoice& c) { c.schedule = "linear"; }),
            "optimizer.schedule is \"linear\", needed one of constant, step, cosine");
}

TEST(CheckOptimizer, NumbersOutsideTheirRangeAreErrors) {
  struct Case {
    double OptimizerChoice::*field;
    std::vector<double> bad;
    const char* message;
  };
  const std::vector<Case> cases = {
      {&OptimizerChoice::learning_rate, {-0.1, kNan, kInfinity}, "optimizer.learning_rate is "},
      {&OptimizerChoice::momentum, {-0.1, 1, 1.5, kNan}, "optimizer.momentum is "},
      {&OptimizerChoice::weight_decay, {-1e-9, kNan, kInfinity}, "optimizer.weight_decay is "},
      {&OptimizerChoice::warmup_epochs, {-1, kNan, kInfinity}, "optimizer.warmup_epochs is "},
      {&OptimizerChoice::step_factor, {0, -1, kNan, kInfinity}, "optimizer.step_factor is "}};
  for (const Case& c : cases) {
    for (const double bad : c.bad) {
      EXPECT_EQ(refusal([&](OptimizerChoice& choice) { choice.*c.field = bad; }).find(c.message),
                0u)
          << c.message << bad;
    }
  }
  EXPECT_EQ(refusal([](OptimizerChoice& c) { c.momentum = 1; }),
            "optimizer.momentum is 1, needed at least 0 and less than 1");
}

TEST(CheckOptimizer, NesterovNeedsMomentumOfSgd) {
  const std::string needs = "optimizer.nesterov needs sgd with a momentum above 0; ";
  EXPECT_EQ(refusal([](OptimizerChoice& c) { c.nesterov = true, c.momentum = 0; }),
            needs + "the optimizer is sgd with momentum 0");
  EXPECT_EQ(refusal([](OptimizerChoice& c) { c.nesterov = true, c.name = "adam"; }),
            needs + "the optimizer is adam with momentum 0.9");
}

TEST(CheckOptimizer, StepEpochsRiseAndBelongToStep) {
  const auto steps = [](std::vector<int64_t> epochs) {
    return [epochs](OptimizerChoice& c) { c.schedule = "step", c.step_epochs = epochs; };
  };
  const std::string needed = ", needed epochs above 0 in rising order";
  EXPECT_EQ(refusal(steps({5, 3})), "optimizer.step_epochs has 3 after 5" + needed);
  EXPECT_EQ(refusal(steps({5, 5})), "optimizer.step_epochs has 5 after 5" + needed);
  EXPECT_EQ(refusal(steps({0})), "optimizer.step_epochs has 0 after 0" + needed);
  EXPECT_EQ(refusal(steps({})), "schedule step needs optimizer.step_epochs, and has none");
  EXPECT_EQ(refusal([](OptimizerChoice& c) { c.step_epochs = {5}; }),
            "optimizer.step_epochs are given, but the schedule is cosine; hint: use schedule step");
  EXPECT_EQ(
      refusal([&](OptimizerChoice& c) { steps({1})(c), c.warmup_epochs = 1.5; }),
      "optimizer.step_epochs begins with 1, inside the warm-up of 1.5 epochs; needed after it");
}

}  // namespace
}  // namespace thimble
