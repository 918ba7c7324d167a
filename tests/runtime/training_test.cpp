#include "runtime/training.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <stdexcept>

#include "runtime/fixtures.h"
#include "support/allocations.h"
#include "support/arena_run.h"
#include "support/expect_error.h"
#include "support/sanitizers.h"

namespace thimble {
namespace {

using data_test::Bytes;
using data_test::read_file;
using runtime_test::TempDir;
using runtime_test::write_bars;

class Training : public testing::Test {
 protected:
  Training() { write_bars(dir_ / "data", 83, 21); }  // 20 steps of 4 in an epoch, three left over

  TrainOptions options(const std::string& backend = "auto") const {
    TrainOptions o;
    o.model.name = "mobilenet_v1_patch";
    o.model.batch = 4;
    o.model.width = 0.25;
    o.data.path = dir_ / "data";
    o.data.flip = true;
    o.data.crop_pad = 2;
    o.optimizer.learning_rate = 0.02;
    o.optimizer.weight_decay = 1e-4;
    o.epochs = 2;
    o.threads = 2;
    o.seed = 5;
    o.backend = backend;
    return o;
  }

  Bytes model_of(TrainOptions o, const std::string& run) const {
    o.run_folder = dir_ / run;
    const TrainReport report = train(o);
    EXPECT_TRUE(report.trained) << report.plan.process_bytes << " of " << report.plan.budget_bytes;
    EXPECT_EQ(report.weights_file, dir_ / run + "/model.safetensors");
    return read_file(report.weights_file);
  }

  // What the refusal of an impossible budget names, and what a test's process itself gathers: its
  // peak never falls again.
  int64_t smallest_budget(TrainOptions o) const {
    o.run_folder = dir_ / "refused";
    o.budget_bytes = 1;
    const TrainReport refused = train(o);
    EXPECT_FALSE(refused.trained);
    return refused.plan.smallest_budget_bytes + (3 << 20);
  }

  // Stops as a crash would: the exception leaves nothing tidied up.
  void crash_after(TrainOptions o, const std::string& run, int64_t steps) const {
    o.run_folder = dir_ / run;
    int64_t done = 0;
    EXPECT_THROW(train(o,
                       [&](const Progress& p) {
                         done += !p.epoch_done;
                         if (done == steps) throw std::runtime_error("crash");
                       }),
                 std::runtime_error);
    EXPECT_EQ(done, steps);
  }

  const TempDir dir_;
  const ThreadCount threads_{2};
};

TEST_F(Training, TheSameSeedGivesTheSameBits) {
  for (const std::string& backend : backend_names()) {
    TrainOptions o = options(backend);
    o.epochs = 1;
    const Bytes first = model_of(o, backend + "1");
    EXPECT_GT(first.size(), 10000);
    EXPECT_EQ(first, model_of(o, backend + "2")) << backend;
    o.seed = 6;
    EXPECT_NE(first, model_of(o, backend + "3")) << backend;
  }
}

// A budget chooses techniques; those that promise the same bits must keep them.
TEST_F(Training, ATightBudgetReachesTheBitsOfAnUnboundedRun) {
  if (kSanitized) GTEST_SKIP() << "sanitizers take memory of their own";
  TrainOptions o = options();
  o.model.batch = 32;
  o.model.width = 0.5;
  o.epochs = 1;
  // Bounded first: what this process once took at most counts for every later plan.
  o.budget_bytes = smallest_budget(o);
  const PlanReport planned = plan(o);
  EXPECT_TRUE(planned.fits);
  EXPECT_EQ(planned.promise, "bit_exact");
  EXPECT_EQ(std::count(planned.techniques.begin(), planned.techniques.end(), "recompute"), 1);
  const Bytes bounded = model_of(o, "bounded");
  o.budget_bytes = 0;
  EXPECT_EQ(bounded, model_of(o, "free"));
}

// The number of parts decides the order of sums, so a resumed run keeps it, whatever the budget.
TEST_F(Training, ResumeKeepsTheMicrobatches) {
  if (kSanitized) GTEST_SKIP() << "sanitizers take memory of their own";
  TrainOptions o = options();
  o.model.batch = 16;
  o.model.norm = "group";
  o.epochs = 1;
  o.checkpoint_every = 1;
  // Only microbatches are left, and the budget is far from those that nothing fits in.
  o.without = {"recompute", "row_bands"};
  const PlanReport plain = plan(o);
  o.budget_bytes = plain.process_bytes - plain.arena_bytes / 4;
  EXPECT_EQ(plan(o).promise, "same_math");
  crash_after(o, "crashed", 2);
  std::filesystem::copy(dir_ / "crashed", dir_ / "again");
  o.resume = true;
  const Bytes within = model_of(o, "crashed");
  o.budget_bytes = 0;
  EXPECT_EQ(within, model_of(o, "again"));
}

// Which tensors are rounded follows from what else is done to fit, so a resumed run keeps all of
// it.
TEST_F(Training, ResumeKeepsWhichTensorsAreRounded) {
  if (kSanitized) GTEST_SKIP() << "sanitizers take memory of their own";
  TrainOptions o = options();
  o.model.name = "resnet18_cifar";
  o.model.batch = 16;
  o.epochs = 1;
  o.checkpoint_every = 1;
  o.allow = {"compress-saved"};
  const PlanReport most = plan(o);
  const auto rounds = [&](int64_t arena_bytes) {
    o.budget_bytes = most.fixed_bytes + arena_bytes;
    const PlanReport report = plan(o);
    const auto& all = report.techniques;
    return report.fits && std::find(all.begin(), all.end(), "compress_saved") != all.end();
  };
  // In the middle of the budgets that need it: the memory of a test's process grows with each plan.
  const int64_t step = most.arena_bytes / 32;
  int64_t first = most.arena_bytes / 3;
  while (first < most.arena_bytes && !rounds(first)) first += step;
  ASSERT_LT(first, most.arena_bytes) << "nothing is rounded in any budget";
  int64_t last = first;
  while (rounds(last + step)) last += step;
  o.budget_bytes = most.fixed_bytes + (first + last) / 2;
  o.run_folder = dir_ / "whole";
  int64_t steps = 0;
  const TrainReport whole = train(o, [&](const Progress&) {
    if (++steps == 3) std::filesystem::copy(dir_ / "whole", dir_ / "again");
  });
  ASSERT_EQ(whole.plan.promise, "approximate");
  o.resume = true;
  o.budget_bytes = 0;  // nothing would be rounded
  EXPECT_TRUE(model_of(o, "again") == read_file(whole.weights_file));
}

// One step, whose loss is a number: its update is what is too large.
TEST_F(Training, WeightsThatAreNoNumbersAreNotSaved) {
  TrainOptions o = options();
  o.model.name = "lenet";
  o.model.batch = 80;
  o.epochs = 1;
  o.optimizer.learning_rate = 1e30;
  o.run_folder = dir_ / "run";
  expect_error<Diverged>([&] { train(o); }, "the loss is not a number when epoch 1 is evaluated");
  EXPECT_FALSE(std::filesystem::exists(dir_ / "run/model.safetensors"));
}

// A model that was trained in parts within a budget is evaluated within it, in parts too.
TEST_F(Training, WhatABudgetTrainedItAlsoEvaluates) {
  if (kSanitized) GTEST_SKIP() << "sanitizers take memory of their own";
  TrainOptions o = options();
  o.model.batch = 32;
  o.model.norm = "group";
  o.model.height = o.model.width_px = 64;  // large maps: only parts of the batch fit
  o.epochs = 1;
  o.run_folder = dir_ / "run";
  o.budget_bytes = smallest_budget(o);
  const TrainReport trained = train(o);
  ASSERT_TRUE(trained.trained);
  EXPECT_EQ(trained.plan.promise, "same_math");
  const EvalReport report = evaluate(o);
  EXPECT_TRUE(report.plan.fits);
  EXPECT_LE(report.plan.process_bytes, o.budget_bytes);
  EXPECT_EQ(report.examples, 21);
  EXPECT_EQ(report.accuracy, trained.accuracy);
  EXPECT_NEAR(report.loss, trained.loss, 1e-6);
}

// In the middle of the first and of the second epoch, behind a checkpoint file and upon one.
TEST_F(Training, ResumeReachesTheBitsOfAnUninterruptedRun) {
  for (const std::string& backend : backend_names()) {
    TrainOptions o = options(backend);
    o.checkpoint_every = 3;
    const Bytes whole = model_of(o, backend + "whole");
    for (int64_t steps : {1, 6, 11, 20, 29}) {
      // Where a run goes on does not depend on its kernels: the slow ones do less.
      const bool few = kSanitized || backend != backend_names().front();
      if (few && steps != 6 && steps != 29) continue;
      const std::string run = str_cat(backend, steps);
      crash_after(o, run, steps);
      TrainOptions again = o;
      again.resume = true;
      EXPECT_EQ(model_of(again, run), whole) << backend << " stopped after " << steps;
      EXPECT_EQ(read_file(dir_ / run + "/checkpoint.safetensors").size(),
                read_file(dir_ / backend + "whole/checkpoint.safetensors").size());
    }
  }
}

// Momentum of a part is of the part's size, in checkpoints as in memory.
TEST_F(Training, ResumeOfPartsReachesTheSameBits) {
  for (const std::string& backend : backend_names()) {
    TrainOptions o = options(backend);
    o.model.train = "head,*.weight[1/3]";
    o.epochs = 1;
    o.checkpoint_every = 3;
    const Bytes whole = model_of(o, backend + "whole");
    crash_after(o, backend + "stopped", 11);
    o.resume = true;
    TrainOptions other = o;
    other.model.train = "head,*.weight[1/2]";
    expect_user_error([&] { model_of(other, backend + "stopped"); }, "model.train");
    EXPECT_EQ(model_of(o, backend + "stopped"), whole) << backend;
  }
}

TEST_F(Training, ResumeTwiceReachesTheSameBits) {
  TrainOptions o = options();
  o.optimizer.name = "adam";
  o.optimizer.learning_rate = 0.001;
  o.checkpoint_every = 2;
  const Bytes whole = model_of(o, "whole");
  crash_after(o, "run", 7);
  o.resume = true;
  crash_after(o, "run", 9);  // counted from where it goes on
  EXPECT_EQ(model_of(o, "run"), whole);
}

TEST_F(Training, ResumeBeforeTheFirstCheckpointBeginsTheRun) {
  TrainOptions o = options();
  const Bytes whole = model_of(o, "whole");
  crash_after(o, "run", 1);
  // As a kill between writing run.json and the first checkpoint leaves it.
  std::filesystem::remove(dir_ / "run/checkpoint.safetensors");
  o.resume = true;
  EXPECT_EQ(model_of(o, "run"), whole);
}

TEST_F(Training, ResumeWithoutARunIsRefused) {
  TrainOptions o = options();
  o.resume = true;
  expect_user_error([&] { train(o); }, "--resume needs the folder of the run to continue");
  o.run_folder = dir_ / "run";
  expect_user_error([&] { train(o); }, dir_ / "run holds no run to resume");
  EXPECT_FALSE(std::filesystem::exists(dir_ / "run"));
}

TEST_F(Training, ResumeWithOtherKernelsOrExamplesIsRefused) {
  TrainOptions o = options();
  o.epochs = 1;
  model_of(o, "run");
  const std::string file = dir_ / "run/checkpoint.safetensors";
  const std::string kernels = make_backend("auto")->identity();
  // One digit, so that the file keeps its length.
  const auto forge = [&](const std::string& from, const std::string& to) {
    std::string bytes = cli_test::text_of(file);
    const size_t at = bytes.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    bytes.replace(at, from.size(), to);
    data_test::write_file(file, Bytes(bytes.begin(), bytes.end()));
  };
  o.run_folder = dir_ / "run";
  o.resume = true;
  o.epochs = 2;
  std::string others = kernels;
  others.back() = '~';
  forge(kernels, others);
  expect_user_error([&] { train(o); }, file + ": was written with kernels " + others +
                                           ", but now it is " + kernels + "; ");
  forge(others, kernels);
  forge("\"examples\":\"83\"", "\"examples\":\"84\"");
  expect_user_error([&] { train(o); }, file + ": was written with examples 84, but now it is 83; ");
  forge("\"examples\":\"84\"", "\"examples\":\"83\"");
  EXPECT_TRUE(train(o).trained);
}

TEST_F(Training, ResumeOfAFinishedRunChangesNothing) {
  const TrainOptions o = options();
  const Bytes model = model_of(o, "run");
  TrainOptions again = o;
  again.resume = true;
  EXPECT_EQ(model_of(again, "run"), model);
}

TEST_F(Training, MetricsOfAResumedRunHaveEachEpochOnce) {
  TrainOptions o = options();
  o.checkpoint_every = 3;
  crash_after(o, "run", 25);
  o.resume = true;
  model_of(o, "run");
  const std::string lines = cli_test::text_of(dir_ / "run/metrics.jsonl");
  EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), 2);
  EXPECT_NE(lines.find("\"step\":20,"), std::string::npos) << lines;
  EXPECT_NE(lines.find("\"step\":40,"), std::string::npos) << lines;
}

// After the first step, in the middle of an epoch, between its last step and its evaluation, in the
// evaluation (six batches), and at the end.
TEST_F(Training, AStoppedRunGoesOnToTheSameBitsAndMetrics) {
  const TrainOptions o = options();
  const Bytes whole = model_of(o, "whole");
  // Times of should_stop: once at the beginning, after each step, before each test batch.
  for (const int64_t asked : {0, 1, 7, 20, 23, 27, 30, 40, 47, 50}) {
    if (kSanitized && asked != 7 && asked != 20 && asked != 23) continue;
    const std::string run = str_cat("run", asked);
    TrainOptions stopped = o;
    stopped.run_folder = dir_ / run;
    int64_t times = 0;
    const TrainReport report = train(stopped, {}, [&] { return times++ >= asked; });
    EXPECT_TRUE(report.interrupted);
    EXPECT_FALSE(report.trained);
    EXPECT_EQ(report.weights_file, "");
    EXPECT_FALSE(std::filesystem::exists(dir_ / run + "/model.safetensors"));
    TrainOptions rest = o;
    rest.resume = true;
    EXPECT_EQ(model_of(rest, run), whole) << "stopped when asked the " << asked << "th time";
    const auto losses = [&](const std::string& of) {  // without times and resident bytes
      std::istringstream lines(cli_test::text_of(dir_ / of + "/metrics.jsonl"));
      std::string text;
      for (std::string line; std::getline(lines, line);) {
        text += line.substr(0, line.find(",\"resident_bytes\""));
      }
      return text;
    };
    EXPECT_EQ(losses(run), losses("whole")) << "stopped when asked the " << asked << "th time";
  }
}

TEST_F(Training, EvaluateReadsWhatTrainingReported) {
  TrainOptions o = options();
  o.run_folder = dir_ / "run";
  const TrainReport trained = train(o);
  TrainOptions e;
  e.run_folder = dir_ / "run";
  e.threads = 2;
  const EvalReport evaluated = evaluate(e);
  EXPECT_EQ(evaluated.examples, 21);
  EXPECT_EQ(evaluated.loss, trained.loss);
  EXPECT_EQ(evaluated.accuracy, trained.accuracy);
}

TEST_F(Training, EvaluateReadsTheCheckpointOfARunThatGoesOn) {
  TrainOptions o = options();
  o.run_folder = dir_ / "run";
  const TrainReport trained = train(o);
  std::filesystem::remove(dir_ / "run/model.safetensors");
  TrainOptions e;
  e.run_folder = o.run_folder;
  const EvalReport evaluated = evaluate(e);
  EXPECT_EQ(evaluated.weights_file, dir_ / "run/checkpoint.safetensors");
  EXPECT_EQ(evaluated.loss, trained.loss);
  std::filesystem::remove(dir_ / "run/checkpoint.safetensors");
  expect_user_error([&] { evaluate(e); }, "no trained model and no checkpoint is here");
}

TEST_F(Training, EvaluateRefusesDataOfOtherClasses) {
  TrainOptions o = options();
  o.epochs = 1;
  o.run_folder = dir_ / "run";
  train(o);
  for (const char* folder : {"train/cat", "train/dog", "test/cat", "test/dog"}) {
    data_test::write_png(dir_ / "pets" + "/" + folder + "/1.png", 32, 32, data_test::gradient);
  }
  TrainOptions e;
  e.run_folder = o.run_folder;
  EXPECT_TRUE(evaluate(e).evaluated);
  e.data.path = dir_ / "pets";
  expect_user_error([&] { evaluate(e); }, "has 2 classes, and the model tells 10 apart");
}

// What would go on would begin again.
TEST_F(Training, ResumeWithoutTheCheckpointOfItsMetricsIsRefused) {
  TrainOptions o = options();
  o.run_folder = dir_ / "run";
  train(o);
  std::filesystem::remove(dir_ / "run/checkpoint.safetensors");
  const Bytes metrics = read_file(dir_ / "run/metrics.jsonl");
  o.resume = true;
  expect_user_error([&] { train(o); }, "but no checkpoint to go on from");
  EXPECT_EQ(read_file(dir_ / "run/metrics.jsonl"), metrics);
}

TEST_F(Training, Learns) {
  TrainOptions o = options();
  o.model.name = "lenet";
  o.model.width = 1;
  o.data.flip = false;
  o.data.crop_pad = 0;
  o.epochs = 12;
  EXPECT_GT(train(o).accuracy, 0.9);
}

TEST_F(Training, ProgressCountsStepsAndEpochs) {
  std::string seen;
  train(options(), [&](const Progress& p) {
    if (p.step == 0 || p.epoch_done)
      seen += str_cat(p.epoch, '.', p.step, p.epoch_done ? "!" : "", ' ');
    EXPECT_EQ(p.epochs, 2);
    EXPECT_EQ(p.steps, 20);
  });
  EXPECT_EQ(seen, "0.0 0.19! 1.0 1.19! ");
}

TEST_F(Training, RefusesABudgetThatIsTooSmallWithoutTouchingTheDisk) {
  TrainOptions o = options();
  o.budget_bytes = 1 << 20;
  o.run_folder = dir_ / "run";
  const TrainReport report = train(o);
  EXPECT_FALSE(report.trained);
  EXPECT_FALSE(report.plan.fits);
  EXPECT_GT(report.plan.smallest_budget_bytes, 1 << 20);
  EXPECT_FALSE(std::filesystem::exists(dir_ / "run"));
}

TEST_F(Training, NamesTheStepWhoseLossIsNotANumber) {
  TrainOptions o = options();
  o.optimizer.learning_rate = 1e30;
  o.optimizer.schedule = "constant";
  expect_user_error([&] { train(o); }, "the loss is not a number at step ");
}

TEST_F(Training, RefusesToMixTwoRuns) {
  TrainOptions o = options();
  model_of(o, "run");
  o.run_folder = dir_ / "run";
  expect_user_error([&] { train(o); }, "already holds a run");
  o.resume = true;
  o.seed = 99;
  expect_user_error([&] { train(o); }, "seed");
}

// The steps of a session, data loading included: the loader's own thread too.
TEST_F(Training, ASessionsStepsAllocateNothing) {
  if (!can_count_allocations()) GTEST_SKIP() << "the sanitizer owns the heap";
  for (const std::string& backend : backend_names()) {
    int64_t own = 0;
    bool counting = false;
    TrainOptions o = options(backend);
    train(o, [&](const Progress& p) {
      if (counting) own += stop_counting_allocations().own;
      counting = p.epoch == 1 && p.step >= 2 && p.step < 17;
      if (counting) start_counting_allocations();
    });
    EXPECT_EQ(own, 0) << backend;
  }
}

}  // namespace
}  // namespace thimble
