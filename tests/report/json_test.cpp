#include "report/json.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "made_up.h"
#include "report/prune.h"

namespace thimble::report_test {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

std::vector<std::string> keys(const std::string& text) {
  std::vector<std::string> names;
  const ordered_json object = ordered_json::parse(text);
  for (const auto& entry : object.items()) names.push_back(entry.key());
  return names;
}

const std::vector<std::string> kPlanKeys = {"fits",
                                            "budget_bytes",
                                            "process_bytes",
                                            "fixed_bytes",
                                            "arena_bytes",
                                            "lower_bound_bytes",
                                            "smallest_budget_bytes",
                                            "by_category",
                                            "parameters",
                                            "active_parameters",
                                            "predicted_step_seconds",
                                            "predicted_snr_db",
                                            "paged_bytes",
                                            "promise",
                                            "techniques",
                                            "peak",
                                            "uses",
                                            "allowances"};

std::vector<std::string> plan_keys_and(const std::vector<std::string>& more) {
  std::vector<std::string> all = kPlanKeys;
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

TEST(ReportJson, PlanHasExactlyTheNamesOfTheContract) {
  EXPECT_EQ(keys(to_json(made_up_plan(0))), kPlanKeys);
}

TEST(ReportJson, PlanKeepsEveryValue) {
  EXPECT_EQ(json::parse(to_json(made_up_plan(67108864))), json::parse(R"({
    "fits": false, "budget_bytes": 67108864, "process_bytes": 83886080, "fixed_bytes": 16777216,
    "arena_bytes": 67108864, "lower_bound_bytes": 65536000, "smallest_budget_bytes": 84148224,
    "by_category": {"weights": 8388608, "optimizer": 4194304, "gradients": 1048576,
                    "saved": 31457280, "temporaries": 15728640, "scratchpad": 2097152,
                    "data": 4194304},
    "parameters": 23508032, "active_parameters": 2350803, "predicted_step_seconds": 0.0123, "predicted_snr_db": null, "paged_bytes": 0, "promise": "bit_exact",
    "techniques": ["order: as written", "in_place"],
    "peak": {"step": "backward conv2d stem.conv", "tensors": [
      {"name": "stem.conv.dst", "category": "saved", "bytes": 12582912},
      {"name": "stem.conv.diff_dst", "category": "temporaries", "bytes": 9961472}]},
    "uses": [], "allowances": []})"));
}

TEST(ReportJson, PlanTellsWhatTechniquesDidAndWhatWasTried) {
  PlanReport plan = made_up_plan(mebibytes(64));
  plan.uses = {{"recompute", "2 of 3", 4096, 0.5}};
  plan.allowances = {{{"bf16"}, {"round"}, true, 8192, 0.25}};
  const json object = json::parse(to_json(plan));
  EXPECT_EQ(object["uses"], json::parse(R"([{"name": "recompute", "where": "2 of 3",
                                             "saved_bytes": 4096, "cost_seconds": 0.5}])"));
  EXPECT_EQ(object["allowances"], json::parse(R"([{"names": ["bf16"], "fits": true,
                                "process_bytes": 8192, "predicted_step_seconds": 0.25}])"));
}

TEST(ReportJson, TrainAddsWhatWasMeasured) {
  const std::string text = to_json(made_up_run(0));
  EXPECT_EQ(keys(text), plan_keys_and({"trained", "interrupted", "peak_rss_bytes",
                                       "step_seconds_median", "samples_per_second", "loss",
                                       "accuracy", "skipped_examples", "weights_file"}));
  const json object = json::parse(text);
  EXPECT_EQ(object["trained"], true);
  EXPECT_EQ(object["peak_rss_bytes"], 82837504);
  EXPECT_EQ(object["step_seconds_median"], 0.0031);
  EXPECT_EQ(object["samples_per_second"], 5321.4);
  EXPECT_EQ(object["loss"], 0.3312);
  EXPECT_EQ(object["accuracy"], 0.8815);
  EXPECT_EQ(object["skipped_examples"], 0);
  EXPECT_EQ(object["weights_file"], "runs/a/model.safetensors");
}

TEST(ReportJson, RefusedTrainingHasTheSameNamesAndMeasuredNothing) {
  const json object = json::parse(to_json(made_up_run(mebibytes(64))));
  EXPECT_EQ(object["fits"], false);
  EXPECT_EQ(object["trained"], false);
  EXPECT_EQ(object.size(), kPlanKeys.size() + 9);
  EXPECT_TRUE(object["peak_rss_bytes"].is_null());
  EXPECT_TRUE(object["loss"].is_null());
}

TEST(ReportJson, LossThatIsNotANumberIsNull) {
  TrainReport report = made_up_run(0);
  report.loss = std::nan("");
  EXPECT_TRUE(json::parse(to_json(report))["loss"].is_null());
}

TEST(ReportJson, EvalAddsWhatWasMeasured) {
  EvalReport report;
  report.plan = made_up_plan(0);
  report.evaluated = true;
  report.examples = 10000;
  report.accuracy = 0.5;
  const std::string text = to_json(report);
  EXPECT_EQ(keys(text), plan_keys_and({"evaluated", "weights_file", "peak_rss_bytes", "examples",
                                       "samples_per_second", "loss", "accuracy", "skipped_examples",
                                       "classes", "confusion"}));
  EXPECT_EQ(json::parse(text)["examples"], 10000);
  EXPECT_EQ(json::parse(text)["accuracy"], 0.5);
}

TEST(ReportJson, EvalCountsByClass) {
  EvalReport report;
  report.evaluated = true;
  report.classes = {{"a", 4, 3, 5}, {"b", 2, 0, 1}, {"c", 0, 0, 0}};
  report.confusion = {3, 1, 0, 2, 0, 0, 0, 0, 0};
  const json object = json::parse(to_json(report));
  EXPECT_EQ(object["classes"], json::parse(R"([
    {"name": "a", "examples": 4, "correct": 3, "answers": 5, "accuracy": 0.75},
    {"name": "b", "examples": 2, "correct": 0, "answers": 1, "accuracy": 0.0},
    {"name": "c", "examples": 0, "correct": 0, "answers": 0, "accuracy": null}])"));
  EXPECT_EQ(object["confusion"], json::parse("[[3, 1, 0], [2, 0, 0], [0, 0, 0]]"));
  report.confusion.clear();
  EXPECT_TRUE(json::parse(to_json(report))["confusion"].is_null());
}

TEST(ReportJson, TrainTellsWhatTheValidationPartSaid) {
  TrainReport report = made_up_run(0);
  report.validation_loss = 0.25;
  report.validation_accuracy = 0.75;
  EXPECT_EQ(json::parse(to_json(report))["validation_accuracy"], 0.75);
  EXPECT_FALSE(json::parse(to_json(report)).contains("best_epoch"));
  report.best_epoch = 4;
  EXPECT_EQ(json::parse(to_json(report))["best_epoch"], 4);
}

TEST(ReportJson, ProfileHasLayersAndTheirTotal) {
  EXPECT_EQ(json::parse(to_json(Profile{made_up_layers(), 352.25})), json::parse(R"({
    "layers": [
      {"name": "stem.conv", "op": "conv2d", "shape": [8, 32, 16, 16], "parameters": 864,
       "forward_flops": 12345678, "backward_flops": 24691356, "saved_bytes": 1048576,
       "temporary_bytes": 4096},
      {"name": "loss", "op": "softmax_cross_entropy", "shape": [], "parameters": 0,
       "forward_flops": 100, "backward_flops": 200, "saved_bytes": 320, "temporary_bytes": 64}],
    "blocks": [],
    "all_blocks": {"name": "", "is_block": true, "temporary_bytes": 0, "cumulative_bytes": 0,
                   "peak_bytes": 0, "sensitive": false, "planned_temporary_bytes": 0,
                   "planned_cumulative_bytes": 0, "planned_peak_bytes": 0},
    "planned_examples": 0,
    "paper_total_bytes": 0,
    "arena_bytes_per_pixel": 352.25,
    "total": {"parameters": 864, "forward_flops": 12345778, "backward_flops": 24691556,
              "saved_bytes": 1048896, "largest_temporary_bytes": 4096}})"));
}

TEST(ReportJson, ProfileHasBlocks) {
  const json profile = json::parse(to_json(made_up_block_profile()));
  EXPECT_EQ(profile["blocks"][1], json::parse(R"({
    "name": "block1", "is_block": true, "temporary_bytes": 5619712, "cumulative_bytes": 831040,
    "peak_bytes": 5720064, "sensitive": true, "planned_temporary_bytes": 9000000,
    "planned_cumulative_bytes": 1000000, "planned_peak_bytes": 9500000})"));
  EXPECT_EQ(profile["all_blocks"]["planned_peak_bytes"], 9500000);
  EXPECT_EQ(profile["planned_examples"], 4);
  EXPECT_EQ(profile["paper_total_bytes"], 50529472);
}

TEST(ReportJson, PruneHasBlocksBeforeAndAfter) {
  const json report = json::parse(to_json(made_up_pruning()));
  EXPECT_EQ(report["blocks"][0], json::parse(R"({
    "name": "block2", "ratio": 0.78125, "channels_before": 96, "channels": 21, "reached": true,
    "before": {"temporary_bytes": 5619712, "cumulative_bytes": 831040, "peak_bytes": 5720064},
    "after": {"temporary_bytes": 1856512, "cumulative_bytes": 652680, "peak_bytes": 1925504}})"));
  EXPECT_EQ(report["after"]["peak_bytes"], 2020956);
  EXPECT_EQ(report["peak_block"], "block13");
  EXPECT_EQ(report["file"], "pruned.thimble");
}

TEST(ReportJson, ListingIsAnObject) {
  EXPECT_EQ(json::parse(to_json(Listing{{"lenet", "small"}}, "models")),
            json::parse(R"({"models": [{"name": "lenet", "summary": "small"}]})"));
}

TEST(ReportJson, BytesThatAreNotUtf8AreReplaced) {
  TrainReport report = made_up_run(0);
  report.weights_file = "runs/\xff/model";
  EXPECT_EQ(json::parse(to_json(report))["weights_file"], "runs/\xEF\xBF\xBD/model");
}

}  // namespace
}  // namespace thimble::report_test
