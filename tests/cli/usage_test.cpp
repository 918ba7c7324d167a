#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "child.h"

namespace thimble::cli_test {
namespace {

// Wrong usage: exit code 2, one line on standard error, nothing on standard output.
void expect_refused(const std::string& arguments, const std::string& message) {
  const Finished run = thimble(arguments);
  EXPECT_EQ(run.exit_code, 2) << arguments;
  EXPECT_EQ(run.err, "thimble: error: " + message + "\n");
  if (arguments.find("--json") == std::string::npos) {
    EXPECT_EQ(run.out, "");
  }
}

TEST(CliUsage, JsonErrorsAreOneObjectOnStandardOutput) {
  struct Case {
    const char* arguments;
    const char* message;
  };
  for (const Case& c : {Case{"eval --json --run /no/such/run",
                             "/no/such/run: no trained model and no checkpoint is here"},
                        Case{"plan --json --bacth 3", "unknown flag '--bacth'"},
                        Case{"plan --json --model $'\\377'", "there is no model called"}}) {
    const Finished run = thimble(c.arguments);
    EXPECT_EQ(run.exit_code, 2);
    EXPECT_CONTAINS(run.err, "thimble: error: ");
    const auto answer = nlohmann::json::parse(run.out);
    EXPECT_EQ(answer.size(), 1);
    EXPECT_EQ(answer["error"]["exit_code"], 2);
    EXPECT_CONTAINS(answer["error"]["message"].get<std::string>(), c.message);
  }
  // Without standard output there is still an exit code.
  EXPECT_EQ(shell("$thimble plan --json --bacth 3 >/dev/full").exit_code, 2);
}

TEST(CliUsage, VersionIsPrinted) {
  const Finished run = thimble("--version");
  EXPECT_EQ(run.exit_code, 0);
  EXPECT_EQ(run.out.rfind("thimble ", 0), 0u);
  EXPECT_EQ(run.err, "");
}

TEST(CliUsage, EveryHelpTeachesExamplesAndExitCodesWithin80Columns) {
  for (const char* command : {"", "train", "plan", "profile", "eval", "predict", "list"}) {
    const Finished run = thimble(std::string(command) + " --help");
    EXPECT_EQ(run.exit_code, 0);
    EXPECT_EQ(run.err, "");
    EXPECT_CONTAINS(run.out, std::string("Examples:\n  thimble ") + command);
    EXPECT_CONTAINS(run.out, "  3  does not fit the budget; nothing was run\n");
    std::istringstream lines(run.out);
    for (std::string line; std::getline(lines, line);) {
      if (line.rfind("  thimble ", 0) == 0) continue;  // to be copied whole
      EXPECT_LE(line.size(), 80u) << line;
    }
  }
}

TEST(CliUsage, HelpNamesTheDefaults) {
  const std::string help = thimble("plan --help").out;
  EXPECT_CONTAINS(help, "  --lr X                      Learning rate [0.05; adam, adamw: 0.001]\n");
  EXPECT_CONTAINS(help, "  --norm batch|frozen|group   Normalisation [batch]\n");
  EXPECT_CONTAINS(help, "  --epochs N                  Passes over the data [1]\n");
}

TEST(CliUsage, UnknownNamesSuggestTheNearest) {
  expect_refused("plan --bacth 3",
                 "unknown flag '--bacth' of thimble plan; did you mean '--batch'?");
  expect_refused("plan --bacth=3",
                 "unknown flag '--bacth' of thimble plan; did you mean '--batch'?");
  expect_refused("trian",
                 "the command is 'trian', needs one of train, plan, calibrate, frontier, profile, "
                 "reversibility, reproduce, eval, prune, import, export, predict, list; "
                 "did you mean 'train'?");
  expect_refused("list model",
                 "what to list is 'model', needs one of models, data, ops, optimizers, "
                 "approximations, techniques, backends; "
                 "did you mean 'models'?");
  const Finished run = thimble("plan --model lenett");
  EXPECT_EQ(run.exit_code, 2);
  EXPECT_CONTAINS(run.err, "did you mean 'lenet'?");
}

TEST(CliUsage, CommandsNeedWhatTheyNeed) {
  expect_refused("",
                 "no command; needs one of train, plan, calibrate, frontier, profile, "
                 "reversibility, reproduce, "
                 "eval, prune, import, export, predict, list; see thimble "
                 "--help");
  expect_refused("train",
                 "train needs --data: a name of `thimble list data`, or a folder; such as "
                 "--data fashion-mnist");
  expect_refused("eval", "eval needs --run: the folder of a trained model");
  expect_refused("predict", "predict needs --run: the folder of a trained model");
  expect_refused("predict --run r", "predict needs pictures: JPEG or PNG files");
  expect_refused("list",
                 "what to list is '', needs one of models, data, ops, optimizers, approximations, "
                 "techniques, backends");
  expect_refused("plan --batch", "--batch needs a value");
  expect_refused("plan --json=3", "--json takes no value");
  expect_refused("plan lenet", "unexpected argument 'lenet' of thimble plan");
  expect_refused("--json plan", "unknown flag '--json'; flags follow the command");
}

TEST(CliUsage, BadNumbersSayWhatCameAndWhatIsNeeded) {
  expect_refused("plan --min-snr 0", "--min-snr is '0', needs a whole number from 1 to 140");
  expect_refused("plan --min-snr 3B", "--min-snr is '3B', needs a whole number from 1 to 140");
  expect_refused("plan --batch -3", "--batch is '-3', needs a whole number from 1 to 65536");
  expect_refused("plan --epochs 0", "--epochs is '0', needs a whole number from 1 to 1000000");
  expect_refused("plan --lr nan", "--lr is 'nan', needs a number above 0 and at most 1000");
  expect_refused("plan --threads 0", "--threads is '0', needs a whole number from 1 to 1024");
  expect_refused("plan --threads 100000",
                 "--threads is '100000', needs a whole number from 1 to 1024");
  expect_refused("plan --width 0", "--width is '0', needs a number above 0 and at most 16");
  expect_refused("plan --budget '12 parsecs'",
                 "--budget: cannot read '12 parsecs' as a number of bytes; write for example "
                 "96MiB, 1.5GiB or 350KB");
  expect_refused("plan --validation 1",
                 "--validation is '1', needs a number of at least 0 and below 1");
  expect_refused("plan --patience 0", "--patience is '0', needs a whole number from 1 to 1000000");
  expect_refused("plan --budget 0", "--budget is '0', needs more than 0 bytes");
}

TEST(CliUsage, FlagsThatContradictEachOtherAreRefused) {
  expect_refused("plan --optimizer adam --momentum 0.5",
                 "--momentum belongs to --optimizer sgd, and --optimizer is adam");
  expect_refused("plan --nesterov --momentum 0", "--nesterov needs a --momentum above 0");
  expect_refused("plan --schedule step",
                 "--schedule step needs --step-epochs, such as --step-epochs 30,60,80");
  expect_refused("plan --step-epochs 3",
                 "--step-epochs belongs to --schedule step, and --schedule is cosine");
  expect_refused("plan --resume --init a.safetensors",
                 "--resume continues from the run's checkpoint file: leave out --init");
  expect_refused("plan --option a=1 --option a=2", "--option a is given twice");
  expect_refused("plan --patience 2",
                 "a patience of 2 epochs needs examples that are not trained on to tell which "
                 "epoch is best; hint: --validation 0.2 keeps a fifth aside");
  expect_refused("plan --verbose --json", "--verbose is for people: leave out --json");
}

}  // namespace
}  // namespace thimble::cli_test
