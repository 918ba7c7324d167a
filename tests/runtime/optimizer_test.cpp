#include "runtime/optimizer.h"

#include <gtest/gtest.h>

#include <functional>
#include <limits>

#include "cli/child.h"
#include "support/expect_error.h"

namespace thimble {
namespace {

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
            "optimizer.name is \"lion\", needed one of adam, adamw, sgd");
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

OptimizerChoice adam_with(std::map<std::string, std::string> options) {
  OptimizerChoice choice;
  choice.name = "adam";
  choice.options = std::move(options);
  return choice;
}

TEST(CheckOptimizer, UnknownOptionsListTheKnownAndTheNearest) {
  const auto refused = [](const OptimizerChoice& choice) {
    return data_test::error_of([&] { check_optimizer(choice); });
  };
  EXPECT_EQ(refused(adam_with({{"beta2", "0.99"}, {"epsilon", "1e-6"}})), "");
  EXPECT_EQ(refused(adam_with({{"bta1", "0.9"}})),
            "optimizer.options has bta1, needed one of beta1, beta2, epsilon; did you mean "
            "'beta1'?");
  EXPECT_EQ(refused(adam_with({{"beta1", "much"}})),
            "optimizer.options: beta1 is \"much\", needed a number");
  EXPECT_EQ(refused(adam_with({{"beta1", "inf"}})),
            "optimizer.options: beta1 is \"inf\", needed a number");
  EXPECT_EQ(refused(adam_with({{"weight_decay", "0.1"}})),
            "optimizer.options has weight_decay, which is a setting of its own; hint: use "
            "optimizer.weight_decay");
  OptimizerChoice sgd;
  sgd.options = {{"beta1", "0.9"}};
  EXPECT_EQ(refused(sgd), "optimizer.options has beta1, but sgd has no options");
}

TEST(OptimizerSpec, OptionsAndFieldsReachTheOp) {
  OptimizerChoice choice = adam_with({{"beta1", "0.8"}});
  choice.weight_decay = 0.25;
  EXPECT_EQ(optimizer_spec(choice),
            (OptimizerSpec{"adam", {{"beta1", 0.8}, {"weight_decay", 0.25}}}));
  OptimizerChoice sgd;
  sgd.nesterov = true;
  EXPECT_EQ(
      optimizer_spec(sgd),
      (OptimizerSpec{"sgd", {{"momentum", 0.9}, {"nesterov", int64_t{1}}, {"weight_decay", 0.0}}}));
}

TEST(Optimizers, AreTheOpsThatMoveWeights) {
  std::vector<std::string> names;
  for (const OpDef* op : optimizers()) names.push_back(op->name);
  EXPECT_EQ(names, (std::vector<std::string>{"adam", "adamw", "sgd"}));
  const Listing listing = list_optimizers();
  ASSERT_EQ(listing.size(), 3);
  EXPECT_EQ(listing[0].second,
            "Adam with L2 weight decay; options beta1=0.9, beta2=0.999, epsilon=1e-08");
}

// The library's usual rate is the command line's, for each optimizer.
TEST(Optimizers, UsualLearningRateIsOneForLibraryAndCommandLine) {
  const data_test::TempDir dir;
  data_test::write_idx(dir / "data", 12);
  const auto rate_in = [](const std::string& run_json) {
    const size_t at = run_json.find("\"learning_rate\": ");
    return at == std::string::npos ? -1 : std::strtod(run_json.c_str() + at + 17, nullptr);
  };
  for (const char* name : {"sgd", "adam"}) {
    const double usual = std::string(name) == "sgd" ? 0.05 : 0.001;
    EXPECT_EQ(usual_learning_rate(name), usual);
    TrainOptions options;
    options.model = {.name = "lenet", .batch = 4};
    options.data.path = dir / "data";
    options.optimizer.name = name;
    options.threads = 1;
    options.run_folder = dir / "library-" + name;
    train(options);
    EXPECT_EQ(rate_in(cli_test::text_of(options.run_folder + "/run.json")), usual);
    const std::string run = dir / "program-" + name;
    const cli_test::Finished f =
        cli_test::thimble("train --model lenet --batch 4 --threads 1 --optimizer " +
                          std::string(name) + " --data " + dir / "data" + " --run " + run);
    ASSERT_EQ(f.exit_code, 0) << f.err;
    EXPECT_EQ(rate_in(cli_test::text_of(run + "/run.json")), usual);
  }
}

}  // namespace
}  // namespace thimble
