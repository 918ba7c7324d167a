#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "child.h"

namespace thimble::cli_test {
namespace {

using nlohmann::json;

// A command with a cache folder of its own.
json run_json(const TempDir& cache, const std::string& arguments) {
  const Finished run = shell("XDG_CACHE_HOME=" + cache.path() + " $thimble " + arguments +
                             " --json --model lenet --batch 4 --threads 1");
  EXPECT_EQ(run.exit_code, 0) << run.err;
  return json::parse(run.out);
}

TEST(CliCalibrate, PlansThenPredictWhatWasMeasured) {
  const TempDir cache;
  const json report = run_json(cache, "calibrate");
  EXPECT_GT(report["kernels"].get<int>(), 15);
  const double step = report["step_seconds"];
  EXPECT_GT(step, 0);
  EXPECT_NEAR(run_json(cache, "plan")["predicted_step_seconds"].get<double>(), step, 1e-3 * step);
  // Another batch is scaled, another device is not this machine.
  EXPECT_GT(run_json(cache, "plan --classes 11")["predicted_step_seconds"].get<double>(), 0);
  std::ofstream(cache / "slow.json") << R"({"gflops": 0.001, "gb_per_s": 1})";
  EXPECT_GT(run_json(cache, "plan --device " + (cache / "slow.json"))["predicted_step_seconds"]
                .get<double>(),
            1.0);
}

TEST(CliCalibrate, RefusesABudgetInWhichNothingRuns) {
  const Finished run = thimble("calibrate --model lenet --budget 1MiB");
  EXPECT_EQ(run.exit_code, 3);
  EXPECT_NE(run.err.find("does not fit in 1.00 MiB; a budget of"), std::string::npos) << run.err;
}

}  // namespace
}  // namespace thimble::cli_test
