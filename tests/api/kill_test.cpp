#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <set>

#include "base/random.h"
#include "runtime/fixtures.h"
#include "support/sanitizers.h"

// The program is killed without warning, again and again, at random moments.

namespace thimble {
namespace {

using cli_test::Finished;
using data_test::read_file;
using runtime_test::TempDir;

class Killed : public testing::Test {
 protected:
  Killed() { runtime_test::write_bars(dir_ / "data", 240, 20); }

  std::string line(const std::string& run) const {
    return "$thimble train --model mobilenet_v1_patch --width 0.25 --batch 8 --epochs 2 --seed 3 "
           "--threads 2 --checkpoint-every 3 --flip --crop 2 --data " +
           dir_ / "data" + " --run " + dir_ / run;
  }
  bool has(const std::string& file) const { return std::filesystem::exists(dir_ / file); }

  const TempDir dir_;
};

double seconds_of(const std::function<void()>& action) {
  const auto begin = std::chrono::steady_clock::now();
  action();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

TEST_F(Killed, TwentyTimesTheFinalWeightsAreThoseOfAnUninterruptedRun) {
  const int kills = kSanitized ? 4 : 20;
  Finished whole;
  const double seconds = seconds_of([&] { whole = cli_test::shell(line("whole")); });
  ASSERT_EQ(whole.exit_code, 0) << whole.err;
  const auto expected = read_file(dir_ / "whole/model.safetensors");
  const RandomStream random(11, 0);
  int killed = 0, completed = 0;
  for (uint64_t attempt = 0; killed < kills || completed == 0; ++attempt) {
    ASSERT_LT(attempt, 200) << killed << " kills only: the runs end too early";
    const std::string run = str_cat("run", completed);
    const bool resume = has(run + "/checkpoint.safetensors");
    // Beyond the kills that are wanted, the run may end.
    const double limit = killed < kills ? random.uniform(attempt) * seconds * 0.9 : 600;
    const Finished f = cli_test::shell(
        str_cat("timeout -s KILL ", limit, " ", line(run), resume ? " --resume" : ""));
    if (f.exit_code == 137) {
      ++killed;
      continue;
    }
    ASSERT_EQ(f.exit_code, 0) << f.err;
    EXPECT_TRUE(read_file(dir_ / run + "/model.safetensors") == expected)
        << "after " << killed << " kills";
    // Nothing is left of files that were being written when the process died.
    std::set<std::string> files;
    for (const auto& entry : std::filesystem::directory_iterator(dir_ / run)) {
      files.insert(entry.path().filename().string());
    }
    EXPECT_EQ(files, (std::set<std::string>{"run.json", "data.json", "plan.json", "metrics.jsonl",
                                            "checkpoint.safetensors", "model.safetensors"}));
    ++completed;
  }
  EXPECT_EQ(killed, kills);
}

}  // namespace
}  // namespace thimble
