#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "child.h"
#include "runtime/fixtures.h"
#include "support/sanitizers.h"

namespace thimble::cli_test {
namespace {

using nlohmann::json;

TEST(CliReproduce, RunsTheWearableStack) {
  if (kSanitized) GTEST_SKIP() << "sanitizers take memory of their own";
  const TempDir dir;
  runtime_test::write_bars(dir / "data", 83, 21);
  const Finished run = thimble("reproduce wearable-stack --quick --steps 1 --json --data '" +
                               dir / "data" + "' --html '" + dir / "stack.html" + "'");
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const json steps = json::parse(run.out)["steps"];
  ASSERT_EQ(steps.size(), 6u);
  for (const json& s : steps) {
    EXPECT_EQ(s["problem"], "") << s["name"];
    EXPECT_GT(s["seconds_per_image"], 0) << s["name"];
    EXPECT_GT(s["peak_rss_bytes"], 0) << s["name"];
    EXPECT_LE(s["peak_rss_bytes"], s["process_bytes"]) << s["name"];
    if (s["budget_bytes"] > 0) {
      EXPECT_LE(s["peak_rss_bytes"], s["budget_bytes"]) << s["name"];
    }
  }
  const auto peak = [&](size_t i) { return steps[i]["peak_rss_bytes"].get<int64_t>(); };
  for (size_t i = 1; i < 6; ++i) EXPECT_LT(peak(i), peak(i - 1)) << steps[i]["name"];
  EXPECT_EQ(steps[0]["promise"], "bit_exact");
  EXPECT_LT(steps[5]["active_parameters"].get<double>(),
            0.13 * steps[5]["parameters"].get<double>());
  EXPECT_CONTAINS(text_of(dir / "stack.html"), "<title>thimble reproduce: wearable-stack</title>");
}

TEST(CliReproduce, TrainsToTheEndAndGoesOn) {
  if (kSanitized) GTEST_SKIP() << "sanitizers take memory of their own";
  const TempDir dir;
  runtime_test::write_bars(dir / "data", 83, 21);
  const std::string line = "reproduce --quick --accuracy --only C6 --steps 1 --data '" +
                           dir / "data" + "' --run '" + dir / "runs" + "' ";
  const Finished text = thimble(line);
  ASSERT_EQ(text.exit_code, 0) << text.err;
  EXPECT_CONTAINS(text.out, "peak of the process");
  const Finished again = thimble(line + "--json");
  ASSERT_EQ(again.exit_code, 0) << again.err;
  const json step = json::parse(again.out)["steps"][0];
  EXPECT_GE(step["accuracy"], 0);
  EXPECT_LE(step["accuracy"], 1);
}

TEST(CliReproduce, RefusesBeforeItRuns) {
  EXPECT_EQ(thimble("reproduce wearable-stack").exit_code, 2);
  const Finished unknown = thimble("reproduce wearable-stack --data . --only C7");
  EXPECT_EQ(unknown.exit_code, 2);
  EXPECT_CONTAINS(unknown.err, "has no configuration 'C7'");
  EXPECT_CONTAINS(thimble("reproduce nothing --data .").err, "there is no stack 'nothing'");
  const Finished data = thimble("reproduce --quick --only C6 --data /nowhere");
  EXPECT_EQ(data.exit_code, 2);
  EXPECT_CONTAINS(data.err, "thimble: error: ");
  EXPECT_CONTAINS(data.err, "/nowhere");
  EXPECT_EQ(data.out, "");
}

TEST(CliReproduce, MeasuresReversibleNetworks) {
  if (kSanitized) GTEST_SKIP() << "sanitizers take memory of their own";
  const TempDir dir;
  runtime_test::write_bars(dir / "data", 83, 21);
  const Finished run =
      thimble("reproduce reversible --quick --accuracy --json --data '" + dir / "data" +
              "' --run '" + dir / "runs" + "' --html '" + dir / "study.html" + "'");
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const json tables = json::parse(run.out)["tables"];
  std::vector<std::string> names;
  for (const json& table : tables) {
    names.push_back(table["name"]);
    EXPECT_FALSE(table["rows"].empty()) << table["name"];
    for (const json& row : table["rows"]) {
      EXPECT_EQ(row["values"].size(), table["columns"].size()) << table["name"];
    }
  }
  EXPECT_EQ(names,
            (std::vector<std::string>{"bytes", "snr_layerwise_invertible", "snr_hybrid_reversible",
                                      "snr_slope", "snr_depth", "times", "accuracy"}));
  EXPECT_EQ(tables[4]["rows"].size(), 2u);  // of each model one depth
  for (const json& row : tables[0]["rows"]) {
    if (row["label"] == "resnet18_cifar") continue;
    EXPECT_LT(row["values"][1], row["values"][0]) << row["label"];
  }
  for (const json& row : tables[5]["rows"]) {  // the plan that was timed is named
    EXPECT_CONTAINS(row["label"].get<std::string>(), "; invert");
    EXPECT_GT(row["values"][2], 0) << row["label"];
  }
  ASSERT_EQ(tables[6]["rows"].size(), 1u);
  EXPECT_GT(tables[6]["rows"][0]["values"][0], 0);
  EXPECT_CONTAINS(text_of(dir / "study.html"), "<title>thimble reproduce: reversible</title>");
}

TEST(CliReproduce, OfAStudyRefusesWhatBelongsToStacks) {
  EXPECT_EQ(thimble("reproduce reversible --copy-to x").exit_code, 2);
  EXPECT_EQ(thimble("reproduce reversible --only C1").exit_code, 2);
  const Finished run = thimble("reproduce reversible --accuracy");
  EXPECT_EQ(run.exit_code, 2);
  EXPECT_CONTAINS(run.err, "accuracy needs data");
}

}  // namespace
}  // namespace thimble::cli_test
