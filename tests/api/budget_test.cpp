#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "runtime/fixtures.h"
#include "support/allocations.h"

// The byte contract, held by the program itself: what it plans, what it takes, and what it says
// when it cannot.

namespace thimble {
namespace {

using cli_test::Finished;
using nlohmann::json;
using runtime_test::TempDir;

struct Run {
  std::string model;
  int batch;
  std::string flags;
};

void PrintTo(const Run& r, std::ostream* out) {
  *out << r.model << " batch " << r.batch << r.flags;
}

class BudgetContract : public testing::TestWithParam<Run> {
 protected:
  std::string flags() const {
    return str_cat(" --threads 2 --model ", GetParam().model, " --batch ", GetParam().batch, " ",
                   GetParam().flags, " --data ", dir_ / "data", " --run ", dir_ / "run");
  }
  const TempDir dir_;
};

TEST_P(BudgetContract, MeasuredPeakIsWithinThreePercentOfThePlanAndNeverAboveIt) {
  if (!can_count_allocations()) GTEST_SKIP() << "sanitizers take memory of their own";
  const auto batch = static_cast<uint32_t>(GetParam().batch);
  runtime_test::write_bars(dir_ / "data", 3 * batch, batch);
  const Finished refused = cli_test::thimble("train --json --budget 1MiB" + flags());
  ASSERT_EQ(refused.exit_code, 3) << refused.err;
  const int64_t budget = json::parse(refused.out)["smallest_budget_bytes"];
  const Finished run = cli_test::thimble(str_cat("train --json --budget ", budget, flags()));
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const json report = json::parse(run.out);
  const auto planned = report["process_bytes"].get<double>();
  const auto peak = report["peak_rss_bytes"].get<double>();
  EXPECT_LE(peak, planned);
  // What is resident of libraries differs by a few hundred KiB from start to start, and by more
  // from machine to machine: that is more than 3% of the smallest of these.
  EXPECT_GE(peak, planned - std::max(0.03 * planned, 1280.0 * kKiB));
  EXPECT_LE(peak, static_cast<double>(budget));
}

INSTANTIATE_TEST_SUITE_P(Zoo, BudgetContract,
                         testing::Values(Run{"lenet", 1024, ""},
                                         Run{"lenet", 1024, " --backend portable"},
                                         Run{"mobilenet_v1_patch", 16, ""},
                                         Run{"mobilenet_v1_patch", 64, ""},
                                         Run{"resnet18_cifar", 16, " --width 0.5"},
                                         Run{"mobilenet_v2", 16, " --input 1x64x64"}));

}  // namespace
}  // namespace thimble
