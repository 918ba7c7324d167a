#include "runtime/run_lock.h"

#include <memory>

#include "runtime/fixtures.h"
#include "support/expect_error.h"
#include "thimble/thimble.h"

namespace thimble {
namespace {

using cli_test::Finished;
using runtime_test::TempDir;

const std::string kTaken =
    ": another process is training in this run folder, needed a folder that "
    "nobody writes to; hint: wait until it has ended, or name another folder";

TEST(RunLock, OneAtATime) {
  const TempDir dir;
  auto first = std::make_unique<RunLock>(dir.path());
  expect_user_error([&] { const RunLock second(dir.path()); }, dir.path() + kTaken);
  first.reset();
  const RunLock second(dir.path());
}

TEST(RunLock, LeavesNoFileAndRemovesWhatAKilledWriterLeft) {
  const TempDir dir;
  data_test::write_file(dir / ".run.json.tmp-1", {1});  // a process of this number is alive
  { const RunLock lock(dir.path()); }
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
}

TEST(RunLock, FolderThatIsNoneIsAnError) {
  expect_user_error([] { const RunLock lock("/nowhere/run"); },
                    "/nowhere/run: cannot open the run folder: No such file or directory");
}

TEST(RunLock, SecondTrainingInOneFolderIsRefusedAndEvalIsNot) {
  const TempDir dir;
  runtime_test::write_bars(dir / "data", 83, 4);
  TrainOptions options;
  options.model.name = "lenet";
  options.model.batch = 4;
  options.data.path = dir / "data";
  options.threads = 1;
  options.run_folder = dir / "run";
  ASSERT_TRUE(train(options).trained);

  const std::string command =
      "train --model lenet --batch 4 --threads 1 --data " + dir / "data" + " --run " + dir / "run";
  options.resume = true;
  options.epochs = 2;
  int64_t steps = 0;
  train(options, [&](const Progress&) {
    if (++steps != 1) return;
    for (const char* resume : {" --resume", ""}) {
      const Finished second = cli_test::thimble(command + resume);
      EXPECT_EQ(second.exit_code, 2);
      EXPECT_EQ(second.err, "thimble: error: " + dir / "run" + kTaken + "\n");
    }
    const Finished eval = cli_test::thimble("eval --threads 1 --run " + dir / "run");
    EXPECT_EQ(eval.exit_code, 0) << eval.err;
  });
  EXPECT_EQ(steps, 21) << "twenty steps and the end of the epoch";
  EXPECT_EQ(cli_test::thimble(command + " --resume --epochs 3").exit_code, 0);
}

// Its lock goes with it, and what it was writing is gone when the next one has begun.
TEST(RunLock, DiesWithItsProcess) {
  const TempDir dir;
  runtime_test::write_bars(dir / "data", 400, 4);
  const std::string command =
      "$thimble train --model lenet --batch 4 --threads 1 --epochs 1000 --data " + dir / "data" +
      " --run " + dir / "run";
  const Finished killed =
      cli_test::shell(command + " & child=$!; until [ -e " + dir / "run/checkpoint.safetensors" +
                      " ]; do sleep 0.02; done; kill -KILL $child; wait $child");
  ASSERT_EQ(killed.exit_code, 137) << killed.err;
  data_test::write_file(dir / "run/.checkpoint.safetensors.tmp-1", {1});
  EXPECT_EQ(cli_test::shell(command + " --resume --epochs 1").exit_code, 0);
  EXPECT_FALSE(std::filesystem::exists(dir / "run/.checkpoint.safetensors.tmp-1"));
}

}  // namespace
}  // namespace thimble
