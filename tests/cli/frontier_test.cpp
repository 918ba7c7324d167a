#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "child.h"
#include "support/sanitizers.h"

namespace thimble::cli_test {
namespace {

using nlohmann::json;

const std::string kPatch = " --model mobilenet_v1_patch --batch 4 --threads 1 ";
const std::string kLenet = " --model lenet --batch 4 --threads 1 ";

TEST(CliFrontier, PointsFallInBytesAndRiseInTime) {
  if (kSanitized) GTEST_SKIP() << "sanitizers take memory of their own";
  const Finished run = thimble("frontier --json" + kPatch);
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const json points = json::parse(run.out)["points"];
  ASSERT_GE(points.size(), 4u);
  EXPECT_EQ(points.front()["planned"], true);
  EXPECT_EQ(points.back()["planned"], true);
  EXPECT_EQ(points.front()["slowdown"], 1.0);
  for (size_t i = 1; i < points.size(); ++i) {
    EXPECT_LT(points[i]["process_bytes"], points[i - 1]["process_bytes"]);
    EXPECT_GT(points[i]["predicted_step_seconds"], points[i - 1]["predicted_step_seconds"]);
    EXPECT_LT(points[i]["arena_bytes"], points[i]["process_bytes"]);
    EXPECT_EQ(points[i]["promise"], "bit_exact");
  }
  const auto planned = std::count_if(points.begin(), points.end(),
                                     [](const json& p) { return p["planned"].get<bool>(); });
  EXPECT_LE(planned, 16);
}

// A fresh process with the point's bytes as its budget finds that plan, or a faster one.
TEST(CliFrontier, PlanWithThePointsBytesIsNoSlower) {
  if (kSanitized) GTEST_SKIP() << "sanitizers take memory of their own";
  constexpr int64_t kJitter = 1 << 20;  // from one start of the program to the next
  const json points = json::parse(thimble("frontier --json" + kPatch).out)["points"];
  int tried = 0;
  for (size_t i = 0; i < points.size(); i += points.size() / 3) {
    const json& point = points[i];
    if (!point["planned"].get<bool>()) continue;
    ++tried;
    const int64_t budget = point["process_bytes"].get<int64_t>() + kJitter;
    const Finished run = thimble("plan --json --budget " + std::to_string(budget) + kPatch);
    EXPECT_EQ(run.exit_code, 0) << "point " << i;
    const json plan = json::parse(run.out);
    EXPECT_LE(plan["predicted_step_seconds"], point["predicted_step_seconds"]) << "point " << i;
  }
  for (const json& point : {points.back(), points.front()}) {
    const int64_t budget = point["process_bytes"].get<int64_t>() + kJitter;
    const Finished run = thimble("plan --json --budget " + std::to_string(budget) + kPatch);
    EXPECT_EQ(run.exit_code, 0);
    EXPECT_LE(json::parse(run.out)["predicted_step_seconds"], point["predicted_step_seconds"]);
  }
  EXPECT_GE(tried, 1);
}

TEST(CliFrontier, MarksTheBudgetAndShowsMeasuredPoints) {
  const TempDir dir;
  const Finished run = shell(
      "echo '[{\"name\": \"other\", \"bytes\": 1048576, \"seconds\": 2}]' >'" +
      dir / "points.json" + "'; LC_ALL=C.UTF-8 $thimble frontier" + kLenet +
      "--budget 1GiB --points '" + dir / "points.json" + "' --html '" + dir / "curve.html" + "'");
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_CONTAINS(run.out, "frontier: lenet, batch 4, from ");
  EXPECT_CONTAINS(run.out, "◀ fits");
  EXPECT_CONTAINS(run.out, "\nmeasured elsewhere\n");
  EXPECT_CONTAINS(text_of(dir / "curve.html"), "<title>thimble frontier: lenet, batch 4</title>");
}

TEST(CliFrontier, RefusesBrokenPointsBeforeItPlans) {
  const Finished run = thimble("frontier --points nowhere.json" + kLenet);
  EXPECT_EQ(run.exit_code, 2);
  EXPECT_EQ(run.err, "thimble: error: nowhere.json: cannot read measured points\n");
}

TEST(CliPlanHtml, WritesThePageBesideTheUsualAnswer) {
  const TempDir dir;
  const Finished run = thimble("plan --json" + kLenet + "--html '" + dir / "plan.html" + "'");
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(json::parse(run.out)["fits"], true);
  EXPECT_CONTAINS(text_of(dir / "plan.html"), "<title>thimble plan: lenet, batch 4</title>");
}

TEST(CliPlanHtml, WhatDoesNotFitIsDrawnAsWell) {
  const TempDir dir;
  const Finished run =
      thimble("plan --budget 1MiB" + kLenet + "--html '" + dir / "plan.html" + "'");
  EXPECT_EQ(run.exit_code, 3);
  EXPECT_CONTAINS(text_of(dir / "plan.html"), "</html>");
}

TEST(CliPlanHtml, SaysInOneLineWhereItCannotWrite) {
  const Finished run = thimble("plan" + kLenet + "--html /nowhere/plan.html");
  EXPECT_EQ(run.exit_code, 2);
  EXPECT_EQ(run.err,
            "thimble: error: /nowhere/plan.html: cannot write: No such file or directory\n");
  EXPECT_EQ(run.out, "");
  const Finished device = thimble("plan" + kLenet + "--html /dev/null");
  EXPECT_EQ(device.exit_code, 2);
  EXPECT_EQ(device.err, "thimble: error: --html is '/dev/null', needs the name of a file\n");
}

TEST(CliPlanHtml, ADiskThatIsFullLeavesTheOldPage) {
  const TempDir dir;
  const std::string file = dir / "plan.html";
  const Finished run = shell("echo old >'" + file + "'; trap '' XFSZ; ulimit -f 1; $thimble plan" +
                             kLenet + "--html '" + file + "'");
  EXPECT_EQ(run.exit_code, 2);
  EXPECT_EQ(run.err, "thimble: error: " + file + ": cannot write: File too large\n");
  EXPECT_EQ(text_of(file), "old\n");
  EXPECT_EQ(shell("ls -A '" + dir / "" + "'").out, "plan.html\n");
}

}  // namespace
}  // namespace thimble::cli_test
