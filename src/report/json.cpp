#include "report/json.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <string_view>

#include "report/answers.h"
#include "report/total.h"

namespace thimble {
namespace {

using Json = nlohmann::ordered_json;  // in the order in which people read it

// Names of files need not be UTF-8: such bytes are replaced.
std::string print(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

Json plan_json(const PlanReport& r) {
  Json categories = Json::object();
  for (size_t c = 0; c < kCategoryNames.size(); ++c) {
    categories[kCategoryNames[c]] = r.by_category[c];
  }
  Json tensors = Json::array();
  for (const PeakTensor& t : r.peak_tensors) {
    tensors.push_back({{"name", t.name}, {"category", t.category}, {"bytes", t.bytes}});
  }
  Json uses = Json::array();
  for (const TechniqueUse& u : r.uses) {
    uses.push_back({{"name", u.name},
                    {"where", u.where},
                    {"saved_bytes", u.saved_bytes},
                    {"cost_seconds", u.cost_seconds}});
  }
  Json allowances = Json::array();
  for (const AllowanceTrial& t : r.allowances) {
    allowances.push_back({{"names", t.names},
                          {"fits", t.fits},
                          {"process_bytes", t.process_bytes},
                          {"predicted_step_seconds", t.predicted_step_seconds}});
  }
  return {
      {"fits", r.fits},
      {"budget_bytes", r.budget_bytes},
      {"process_bytes", r.process_bytes},
      {"fixed_bytes", r.fixed_bytes},
      {"arena_bytes", r.arena_bytes},
      {"lower_bound_bytes", r.lower_bound_bytes},
      {"smallest_budget_bytes", r.smallest_budget_bytes},
      {"by_category", categories},
      {"parameters", r.parameters},
      {"active_parameters", r.active_parameters},
      {"predicted_step_seconds", r.predicted_step_seconds},
      {"predicted_snr_db", std::isfinite(r.predicted_snr_db) ? Json(r.predicted_snr_db) : Json()},
      {"paged_bytes", r.paged_bytes},
      {"promise", r.promise},
      {"techniques", r.techniques},
      {"peak", {{"step", r.peak_step}, {"tensors", tensors}}},
      {"uses", uses},
      {"allowances", allowances}};
}

Json explored_json(const std::vector<Exploration>& weights) {
  Json list = Json::array();
  for (const Exploration& e : weights) {
    list.push_back({{"weight", e.weight},
                    {"positions", e.positions},
                    {"active", e.active},
                    {"explored", e.explored}});
  }
  return list;
}

Json classes_json(const EvalReport& r) {
  Json list = Json::array();
  for (size_t c = 0; c < r.classes.size(); ++c) {
    const ClassResult& k = r.classes[c];
    const bool any = k.examples > 0;
    list.push_back(
        {{"name", k.name},
         {"examples", k.examples},
         {"correct", k.correct},
         {"answers", k.answers},
         {"accuracy",
          any ? Json(static_cast<double>(k.correct) / static_cast<double>(k.examples)) : Json()}});
  }
  return list;
}

// An object's text, and in it one more name, whose value is text already.
std::string with_last(std::string object, const char* name, const std::string& value) {
  object.resize(object.size() - std::string_view("\n}\n").size());
  return object.append(",\n  \"").append(name).append("\": ").append(value).append("\n}\n");
}

}  // namespace

std::string to_json(const PlanReport& report) { return print(plan_json(report)); }

std::string to_json(const TrainReport& r) {
  const auto measured = [&](auto value) { return r.trained ? Json(value) : Json(); };
  Json json = plan_json(r.plan);
  json["trained"] = r.trained;
  json["interrupted"] = r.interrupted;
  json["peak_rss_bytes"] = r.trained || r.interrupted ? Json(r.peak_rss_bytes) : Json();
  json["step_seconds_median"] = measured(r.step_seconds_median);
  json["samples_per_second"] = measured(r.samples_per_second);
  json["loss"] = measured(r.loss);
  json["accuracy"] = measured(r.accuracy);
  json["skipped_examples"] = measured(r.skipped_examples);
  json["weights_file"] = measured(r.weights_file);
  if (r.trained && r.validation_accuracy >= 0) {
    json["validation_loss"] = r.validation_loss;
    json["validation_accuracy"] = r.validation_accuracy;
    if (r.best_epoch >= 0) json["best_epoch"] = r.best_epoch;
  }
  if (!r.explored.empty()) json["explored"] = explored_json(r.explored);
  return print(json);
}

std::string to_json(const EvalReport& r) {
  const auto measured = [&](auto value) { return r.evaluated ? Json(value) : Json(); };
  Json json = plan_json(r.plan);
  json["evaluated"] = r.evaluated;
  json["weights_file"] = measured(r.weights_file);
  json["peak_rss_bytes"] = measured(r.peak_rss_bytes);
  json["examples"] = measured(r.examples);
  json["samples_per_second"] = measured(r.samples_per_second);
  json["loss"] = measured(r.loss);
  json["accuracy"] = measured(r.accuracy);
  json["skipped_examples"] = measured(r.skipped_examples);
  json["classes"] = r.evaluated ? classes_json(r) : Json();
  // As text at once: a tree of so many numbers would take more than evaluating small networks.
  const bool known = r.evaluated && !r.confusion.empty();
  return with_last(print(json), "confusion",
                   known ? "[[" + confusion_rows(r, "], [", ", ") + "]]" : "null");
}

std::string to_json(const CalibrationReport& r) {
  return print({{"kernels", r.kernels},
                {"step_seconds", r.step_seconds},
                {"predicted_before", r.predicted_before},
                {"cache_file", r.cache_file}});
}

namespace {

Json block_json(const BlockProfile& b) {
  return {{"name", b.name},
          {"is_block", b.is_block},
          {"temporary_bytes", b.temporary_bytes},
          {"cumulative_bytes", b.cumulative_bytes},
          {"peak_bytes", b.peak_bytes},
          {"sensitive", b.sensitive},
          {"planned_temporary_bytes", b.planned_temporary_bytes},
          {"planned_cumulative_bytes", b.planned_cumulative_bytes},
          {"planned_peak_bytes", b.planned_peak_bytes}};
}

}  // namespace

std::string to_json(const Profile& profile) {
  Json list = Json::array();
  for (const LayerProfile& l : profile.layers) {
    list.push_back({{"name", l.name},
                    {"op", l.op},
                    {"shape", l.shape},
                    {"parameters", l.parameters},
                    {"forward_flops", l.forward_flops},
                    {"backward_flops", l.backward_flops},
                    {"saved_bytes", l.saved_bytes},
                    {"temporary_bytes", l.temporary_bytes}});
  }
  Json blocks = Json::array();
  for (const BlockProfile& b : profile.blocks) blocks.push_back(block_json(b));
  const LayerProfile total = total_of(profile.layers);
  return print({{"layers", list},
                {"blocks", blocks},
                {"all_blocks", block_json(profile.all_blocks)},
                {"planned_examples", profile.planned_examples},
                {"paper_total_bytes", profile.paper_total_bytes},
                {"arena_bytes_per_pixel", profile.arena_bytes_per_pixel},
                {"total",
                 {{"parameters", total.parameters},
                  {"forward_flops", total.forward_flops},
                  {"backward_flops", total.backward_flops},
                  {"saved_bytes", total.saved_bytes},
                  {"largest_temporary_bytes", total.temporary_bytes}}}});
}

std::string to_json(const Listing& listing, const std::string& what) {
  Json list = Json::array();
  for (const auto& [name, summary] : listing) {
    list.push_back({{"name", name}, {"summary", summary}});
  }
  Json json = Json::object();
  json[what] = list;
  return print(json);
}

std::string written_json(const std::string& file) { return print({{"file", file}}); }

std::string error_json(const std::string& message, int exit_code) {
  return print({{"error", {{"message", message}, {"exit_code", exit_code}}}});
}

}  // namespace thimble
