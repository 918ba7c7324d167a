#include <gtest/gtest.h>
#include <sys/resource.h>

#include <nlohmann/json.hpp>

#include "child.h"
#include "runtime/fixtures.h"
#include "support/sanitizers.h"

namespace thimble::cli_test {
namespace {

using nlohmann::json;

// Throws, and so fails the test, unless all of standard output is one JSON value.
json only_json(const Finished& run) { return json::parse(run.out); }

// Twelve pictures of 28x28 in each part.
void write_digits(const std::string& folder) {
  data_test::Bytes labels;
  for (uint8_t i = 0; i < 12; ++i) labels.push_back(i % 10);
  for (const char* prefix : {"/train", "/t10k"}) {
    data_test::write_file(folder + prefix + "-images-idx3-ubyte",
                          data_test::idx_images(12, 28, 28));
    data_test::write_file(folder + prefix + "-labels-idx1-ubyte", data_test::idx_labels(labels));
  }
}

const std::string kLenet = " --model lenet --batch 4 --threads 1 ";

TEST(CliPlan, JsonIsAllThereIsOnStandardOutput) {
  const Finished run = thimble("plan --json --budget 1GiB" + kLenet);
  EXPECT_EQ(run.exit_code, 0);
  EXPECT_EQ(run.err, "");
  const json plan = only_json(run);
  EXPECT_EQ(plan["fits"], true);
  EXPECT_EQ(plan["budget_bytes"], 1073741824);
  EXPECT_EQ(plan["process_bytes"],
            plan["fixed_bytes"].get<int64_t>() + plan["arena_bytes"].get<int64_t>());
}

TEST(CliPlan, RefusalIsTheSameJsonAndExitCode3) {
  const Finished run = thimble("plan --json --budget 1MiB" + kLenet);
  EXPECT_EQ(run.exit_code, 3);
  const json plan = only_json(run);
  EXPECT_EQ(plan["fits"], false);
  EXPECT_GT(plan["smallest_budget_bytes"], 1048576);
}

TEST(CliPlan, SmallestBudgetFitsWhenItIsTried) {
  if (kSanitized) GTEST_SKIP() << "sanitizers take memory of their own";
  const json refused = only_json(thimble("plan --json --budget 1MiB" + kLenet));
  const std::string smallest = refused["smallest_budget_bytes"].dump();
  EXPECT_EQ(thimble("plan --json --budget " + smallest + kLenet).exit_code, 0);
}

// Kernels are tried to find out what they take: not those that take more than there is.
TEST(CliPlan, RefusesWithinTheBudget) {
  if (kSanitized) GTEST_SKIP() << "sanitizers take memory of their own";
  const Finished refused =
      thimble("plan --model mobilenet_v1_patch --batch 2048 --threads 1 --json --budget 48MiB");
  EXPECT_EQ(refused.exit_code, 3);
  EXPECT_GT(only_json(refused)["arena_bytes"], 512 << 20);
  rusage used = {};  // the largest of all processes that this test has waited for
  ASSERT_EQ(::getrusage(RUSAGE_CHILDREN, &used), 0);
  EXPECT_LE(used.ru_maxrss, 48 << 10);
}

TEST(CliPlan, TextRefusalNamesBothBudgets) {
  const Finished run = thimble("plan --budget 1MiB" + kLenet);
  EXPECT_EQ(run.exit_code, 3);
  EXPECT_CONTAINS(run.out, "plan: lenet, batch 4 takes ");
  EXPECT_CONTAINS(run.out, ": DOES NOT FIT in 1.00 MiB\n");
  EXPECT_CONTAINS(run.out, "  smallest budget ");
  EXPECT_CONTAINS(run.out, "  * a smaller --batch: ");
}

TEST(CliPlan, OffersTheAllowanceThatMakesItFit) {
  if (kSanitized) GTEST_SKIP() << "sanitizers take memory of their own";
  const std::string patch = " --model mobilenet_v1_patch --batch 16 --threads 1 ";
  const auto smallest = [&](const std::string& allow) {
    const json plan = only_json(thimble("plan --json --budget 1MiB" + patch + allow));
    return plan["smallest_budget_bytes"].get<int64_t>();
  };
  const int64_t with = smallest("--allow ghost-batch-norm"), without = smallest("");
  ASSERT_LT(with + (2 << 20), without);
  const std::string between = " --budget " + std::to_string((with + without) / 2);
  const Finished refused = thimble("plan" + patch + between);
  EXPECT_EQ(refused.exit_code, 3);
  EXPECT_CONTAINS(refused.out, "what would lower it\n");
  EXPECT_CONTAINS(refused.out, "  * --allow ghost-batch-norm: fits, taking ");
  EXPECT_CONTAINS(refused.out, "you accept to split the batch although batch norm then sees");
  EXPECT_EQ(thimble("plan --allow ghost-batch-norm" + patch + between).exit_code, 0);
}

TEST(CliPlan, OffersNoAllowanceWhereTheProgramItselfIsTooLarge) {
  const json plan = only_json(thimble("plan --json --budget 1MiB" + kLenet));
  EXPECT_EQ(plan["allowances"], json::array());
}

TEST(CliPlan, FlagsReachTheModel) {
  const auto arena = [](const std::string& flags) {
    return only_json(thimble("plan --json" + kLenet + flags))["arena_bytes"].get<int64_t>();
  };
  const int64_t usual = arena("");
  EXPECT_GT(arena("--batch 8"), usual);  // the last one counts
  EXPECT_GT(arena("--classes 1000"), usual);
  EXPECT_GT(arena("--input 1x64x64"), usual);
  EXPECT_GT(arena("--width 2"), usual);
  EXPECT_GT(arena("--optimizer adam"), usual);
}

TEST(CliPlan, OptimizerOptionsReachTheOptimizer) {
  const std::string adam = "plan --optimizer adam --optimizer-option ";
  EXPECT_EQ(thimble(adam + "beta1=0.8 --optimizer-option epsilon=1e-6" + kLenet).exit_code, 0);
  const Finished wrong = thimble(adam + "beta1=1.5" + kLenet);
  EXPECT_EQ(wrong.exit_code, 2);
  EXPECT_CONTAINS(wrong.err, "adam: beta1 must be in [0, 1), got 1.5");
  EXPECT_CONTAINS(thimble(adam + "beta=0.8" + kLenet).err, "did you mean 'beta1'?");
}

TEST(CliPlan, VerboseShowsTheStepsBeforeTheTable) {
  const Finished run = thimble("plan --verbose" + kLenet);
  EXPECT_EQ(run.exit_code, 0);
  EXPECT_LT(run.out.find("conv2d"), run.out.find("plan: lenet"));
}

TEST(CliProfile, CountsEveryLayer) {
  const Finished run = thimble("profile --json" + kLenet);
  EXPECT_EQ(run.exit_code, 0);
  const json profile = only_json(run);
  int64_t parameters = 0;
  for (const json& layer : profile["layers"]) parameters += layer["parameters"].get<int64_t>();
  EXPECT_GT(parameters, 0);
  EXPECT_EQ(profile["total"]["parameters"], parameters);
  EXPECT_CONTAINS(thimble("profile" + kLenet).out, "  total ");
}

TEST(CliReversibility, ComparesMapsAndSaysWhatHelps) {
  const TempDir dir;
  const std::string line =
      "reversibility --model layerwise_invertible --option depth=12 --width 0.25 --batch 2 --input "
      "16 --threads 1 ";
  const Finished text = thimble(line + "--html '" + dir / "errors.html" + "'");
  ASSERT_EQ(text.exit_code, 0) << text.err;
  EXPECT_CONTAINS(text.out, "layer12.g.conv run again");
  EXPECT_CONTAINS(text.out, "what makes the errors smaller");
  EXPECT_CONTAINS(text_of(dir / "errors.html"), "<title>thimble reversibility:");
  const Finished run = thimble(line + "--min-snr 60 --json");
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const json found = json::parse(run.out);
  EXPECT_GT(found["kept_anchors"], 0);
  EXPECT_GE(found["predicted_before_db"], 60);
  EXPECT_EQ(found["tensors"][0].size(), 7u);
}

// Before the first step, with what would help.
TEST(CliTrain, WarnsOfNoise) {
  if (kSanitized) GTEST_SKIP() << "sanitizers take memory of their own";
  const TempDir dir;
  runtime_test::write_bars(dir / "data", 40, 10);
  const std::string line =
      "train --model layerwise_invertible --option depth=24 --width 0.25 --batch 8 --input 16 "
      "--epochs 1 --lr 0.0001 --threads 1 --without recompute,microbatch --data '" +
      dir / "data" + "' ";
  const Finished plain = thimble(line + "--run '" + dir / "plain" + "'");
  EXPECT_EQ(plain.exit_code, 0) << plain.err;
  EXPECT_EQ(plain.err.find("warning"), std::string::npos) << plain.err;
  // In as few bytes as it can be: its maps are had again through all of its layers.
  const Finished smallest = thimble("plan" + line.substr(5) + "--min-snr any --budget 1 --json");
  const auto bytes = json::parse(smallest.out)["smallest_budget_bytes"].get<int64_t>();
  const Finished noisy = thimble(line + "--min-snr any --budget " + std::to_string(bytes) +
                                 " --run '" + dir / "noisy" + "'");
  EXPECT_CONTAINS(noisy.err, "warning: what the backward pass has again is predicted to be noise");
  EXPECT_CONTAINS(noisy.err, "--option slope=0.5 (now 0.2): a leaky ReLU nearer to a line");
  EXPECT_CONTAINS(noisy.err, "--model hybrid_reversible");
}

TEST(CliList, KnowsModelsDataAndOps) {
  const auto names = [](const std::string& what) {
    std::vector<std::string> all;
    const json list = only_json(thimble("list --json " + what))[what];
    for (const json& entry : list) all.push_back(entry["name"]);
    return all;
  };
  const auto holds = [](const std::vector<std::string>& all, const char* name) {
    return std::find(all.begin(), all.end(), name) != all.end();
  };
  EXPECT_TRUE(holds(names("models"), "lenet"));
  EXPECT_TRUE(holds(names("data"), "fashion-mnist"));
  EXPECT_TRUE(holds(names("ops"), "conv2d"));
  EXPECT_EQ(names("optimizers"), (std::vector<std::string>{"adam", "adamw", "sgd"}));
  EXPECT_EQ(names("backends").back(), "portable");
  EXPECT_CONTAINS(thimble("list models").out, "  lenet ");
  EXPECT_CONTAINS(thimble("list models").out, "32x32 images; option activation=relu|leaky_relu\n");
}

TEST(CliTrain, TrainsAndEvalReadsTheRun) {
  const TempDir dir;
  write_digits(dir / "digits");
  const std::string folders = " --data " + dir / "digits" + " --run " + dir / "run";
  const Finished run = thimble("train --json --budget 1GiB" + kLenet + folders);
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const json trained = only_json(run);
  EXPECT_EQ(trained["trained"], true);
  EXPECT_LE(trained["peak_rss_bytes"], trained["budget_bytes"]);
  EXPECT_TRUE(std::filesystem::exists(trained["weights_file"].get<std::string>()));
  EXPECT_CONTAINS(run.err, "epoch 1/1: loss ");

  const Finished eval = thimble("eval --json --threads 1 --run " + dir / "run");
  ASSERT_EQ(eval.exit_code, 0) << eval.err;
  EXPECT_EQ(only_json(eval)["examples"], 12);
  EXPECT_EQ(only_json(eval)["accuracy"], trained["accuracy"]);
}

TEST(CliTrain, TextEndsInTheContract) {
  const TempDir dir;
  write_digits(dir / "digits");
  const Finished run = thimble("train --budget 1GiB" + kLenet + " --data " + dir / "digits" +
                               " --run " + dir / "run");
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_CONTAINS(run.out, "test accuracy ");
  EXPECT_CONTAINS(run.out, "\n  PASS: the peak stayed inside the budget\n");
}

TEST(CliTrain, UsualRunFolderIsNamedAfterModelAndData) {
  const TempDir dir;
  write_digits(dir / "digits");
  const Finished run =
      shell("cd " + dir.path() + " && $thimble train" + kLenet + " --data ./digits/");
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_CONTAINS(run.err, "run folder: runs/lenet-digits\n");
  EXPECT_TRUE(std::filesystem::exists(dir / "runs/lenet-digits"));
}

TEST(CliTrain, RefusalTrainsNothingAndExitsWith3) {
  const TempDir dir;
  write_digits(dir / "digits");
  const Finished run = thimble("train --json --budget 1MiB" + kLenet + " --data " + dir / "digits" +
                               " --run " + dir / "run");
  EXPECT_EQ(run.exit_code, 3);
  EXPECT_EQ(only_json(run)["trained"], false);
  EXPECT_CONTAINS(run.err, "thimble: does not fit: training takes ");
  EXPECT_CONTAINS(run.err, "smallest budget that fits: --budget ");
  EXPECT_EQ(run.err.find("epoch"), std::string::npos);
}

TEST(CliTrain, MissingDataIsBadInput) {
  const Finished run = thimble("train --json --data /no/such/place" + kLenet + "--run /tmp/none");
  EXPECT_EQ(run.exit_code, 2);
  EXPECT_EQ(only_json(run)["error"]["exit_code"], 2);
  EXPECT_CONTAINS(run.err, "thimble: error: no data set or folder '/no/such/place'");
}

// Started as in a terminal: a shell lets its background children ignore SIGINT.
Finished interrupt_when(const std::string& ready, const std::string& signal,
                        const std::string& arguments) {
  return shell("env --default-signal=INT $thimble " + arguments + " & child=$!; until [ -e " +
               ready + " ]; do sleep 0.02; done; kill -" + signal + " $child; wait $child");
}

TEST(CliTrain, InterruptLeavesACheckpointAndTheLineThatContinues) {
  const TempDir dir;
  write_digits(dir / "some digits");
  for (const auto& [signal, code] : {std::pair("INT", 130), std::pair("TERM", 143)}) {
    const std::string run_folder = dir / signal;
    const std::string arguments = "train --json --model lenet --batch 4 --threads 1 --data '" +
                                  dir / "some digits" + "' --run " + run_folder +
                                  " --epochs 1000000";
    const Finished run = interrupt_when(run_folder + "/metrics.jsonl", signal, arguments);
    EXPECT_EQ(run.exit_code, code) << run.err;
    EXPECT_EQ(only_json(run)["interrupted"], true);
    EXPECT_EQ(only_json(run)["trained"], false);
    EXPECT_GT(only_json(run)["peak_rss_bytes"], 1 << 20);
    EXPECT_CONTAINS(run.err, "thimble: ending this step; once more ends at once\n");
    const std::string line = THIMBLE_CLI " " + arguments + " --resume";
    EXPECT_CONTAINS(run.err, "thimble: interrupted; continue with: " + line + "\n");
    EXPECT_FALSE(std::filesystem::exists(run_folder + "/model.safetensors"));
    // Fewer epochs than are done: it evaluates and ends.
    const Finished rest = shell(line + " --epochs 1");
    EXPECT_EQ(rest.exit_code, 0) << rest.err;
    EXPECT_EQ(only_json(rest)["interrupted"], false);
    EXPECT_TRUE(std::filesystem::exists(run_folder + "/model.safetensors"));
  }
}

TEST(CliTrain, ABatchLargerThanTheDataLeavesNoRunFolder) {
  const TempDir dir;
  write_digits(dir / "digits");
  const Finished run = thimble("train --model lenet --batch 13 --data " + (dir / "digits") +
                               " --run " + (dir / "run"));
  EXPECT_EQ(run.exit_code, 2);
  EXPECT_CONTAINS(run.err, "12 examples are fewer than one batch of 13");
  EXPECT_FALSE(std::filesystem::exists(dir / "run"));
}

TEST(CliTrain, LineThatContinuesLeavesOutTheFirstWeights) {
  const TempDir dir;
  write_digits(dir / "digits");
  const std::string data = kLenet + "--data " + dir / "digits" + " --run ";
  ASSERT_EQ(thimble("train" + data + dir / "first").exit_code, 0);
  const Finished run = interrupt_when(
      dir / "run/metrics.jsonl", "INT",
      "train --epochs 1000000 --init " + dir / "first/model.safetensors" + data + dir / "run");
  EXPECT_EQ(run.exit_code, 130) << run.err;
  EXPECT_CONTAINS(run.err, "train --epochs 1000000 --model lenet");
}

TEST(CliEval, MissingRunIsBadInput) {
  const Finished run = thimble("eval --run /no/such/run");
  EXPECT_EQ(run.exit_code, 2);
  EXPECT_CONTAINS(run.err, "/no/such/run");
}

TEST(CliStreams, ReaderThatGoesAwayIsNoError) {
  // The program's own exit code, behind a pipe that nobody reads.
  const Finished run = shell("{ sleep 0.2; $thimble list ops; echo code $? >&2; } | true");
  EXPECT_EQ(run.err, "code 0\n");
}

TEST(CliStreams, FullDiskIsAnError) {
  const Finished run = shell("$thimble list ops >/dev/full");
  EXPECT_EQ(run.exit_code, 1);
  EXPECT_EQ(run.err, "thimble: error: cannot write to standard output: No space left on device\n");
}

TEST(CliStreams, ClosedOutputIsAnErrorAndNoCrash) {
  EXPECT_EQ(shell("$thimble list ops >&-").exit_code, 1);
  EXPECT_EQ(shell("$thimble list ops >&- 2>&-").exit_code, 1);
  EXPECT_EQ(shell("$thimble bogus 2>&-").exit_code, 2);
}

}  // namespace
}  // namespace thimble::cli_test
