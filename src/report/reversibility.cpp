#include "report/reversibility.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "report/format.h"
#include "report/table.h"

namespace thimble {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kFullBarDb = 160;  // above float rounding
constexpr int kBarWidth = 20;

// JSON has no number for what was not measured, nor for ratios without noise or with endless.
Json json_number(double value) {
  if (std::isnan(value)) return {};
  return std::isfinite(value) ? Json(value) : Json(word_of_endless(value));
}

std::string db(double value) {
  return std::isfinite(value) ? format_fixed(value, 1) : word_of_endless(value);
}

std::string loss(const RebuiltTensor& t, double value) {
  return t.predicted_loss_db == 0 ? "" : std::isnan(value) ? "-" : format_fixed(value, 1);
}

}  // namespace

std::vector<std::string> ways_to_less_noise(const TrainOptions& o) {
  constexpr int64_t kSaferDb = 60;
  constexpr double kSaferSlope = 0.5;
  std::vector<std::string> ways;
  if (o.min_snr_db < kSaferDb) {
    ways.push_back(str_cat("--min-snr ", kSaferDb,
                           ": keeps maps wherever the ratio is predicted to fall below that"));
  }
  const auto variant = [&](const char* name) {
    const auto it = o.model.variants.find(name);
    return it == o.model.variants.end() ? std::string() : it->second;
  };
  if (const std::string slope = variant("slope"); !slope.empty()) {
    if (std::strtod(slope.c_str(), nullptr) < kSaferSlope) {
      ways.push_back(str_cat("--option slope=", kSaferSlope, " (now ", slope,
                             "): a leaky ReLU nearer to a line divides by less"));
    }
  }
  if (o.model.name != "hybrid_reversible") {
    ways.emplace_back("--model hybrid_reversible: couplings give back what enters a block");
  } else if (variant("coupling") != "fixed_point") {
    ways.emplace_back("--option coupling=fixed_point: what enters a block is had to the bit");
  }
  return ways;
}

std::string noise_warning(const PlanReport& plan, const TrainOptions& options) {
  if (!(plan.predicted_snr_db < kUsableSnrDb)) return "";
  std::string text = str_cat(
      "thimble: warning: what the backward pass has again is predicted to be noise: a signal to "
      "noise ratio of ",
      std::lround(plan.predicted_snr_db), " dB, where training needs ", std::lround(kUsableSnrDb),
      " or more. What helps:\n");
  for (const std::string& way : ways_to_less_noise(options)) text += str_cat("  * ", way, '\n');
  return text;
}

std::string reversibility_text(const Reversibility& r, const TextStyle& style) {
  std::string text = str_cat("signal to noise of what the backward pass of ", r.options.model.name,
                             " has again, in dB\n\n");
  Table table = {"llrrrrl", {{"tensor", "from", "measured", "theory", "lost", "theory"}}};
  for (const RebuiltTensor& t : r.tensors) {
    const double share = t.measured_db / kFullBarDb;
    table.rows.push_back({t.name, str_cat(t.layer, t.inverted ? "" : " run again"),
                          db(t.measured_db), db(t.predicted_db), loss(t, t.loss_db),
                          loss(t, t.predicted_loss_db),
                          format_bar(std::clamp(share, 0.0, 1.0), kBarWidth, style.unicode)});
  }
  text += table.text();
  text += str_cat("\nlost: by the inverse of that layer alone\n\n");
  Table totals = {"lrl"};
  totals.rows = {
      {"noisiest map", db(r.least_measured_db), "dB, measured"},
      {"before training", db(r.predicted_before_db), "dB, predicted without the weights"},
      {"gradients", db(r.gradient_db), "dB, of all weights, beside those of kept maps"}};
  if (r.kept_anchors > 0) {
    totals.rows.push_back({"anchors", std::to_string(r.kept_anchors), "maps kept for --min-snr"});
  }
  text += totals.text();
  if (r.least_measured_db >= kUsableSnrDb && r.predicted_before_db >= kUsableSnrDb) return text;
  const std::vector<std::string> ways = ways_to_less_noise(r.options);
  if (!ways.empty()) text += "\nwhat makes the errors smaller\n";
  for (const std::string& way : ways) text += str_cat("  * ", way, '\n');
  return text;
}

std::string to_json(const Reversibility& r) {
  Json tensors = Json::array();
  for (const RebuiltTensor& t : r.tensors) {
    const bool divides = t.predicted_loss_db != 0;
    tensors.push_back({{"name", t.name},
                       {"layer", t.layer},
                       {"inverted", t.inverted},
                       {"measured_db", json_number(t.measured_db)},
                       {"predicted_db", json_number(t.predicted_db)},
                       {"loss_db", divides ? json_number(t.loss_db) : Json()},
                       {"predicted_loss_db", divides ? json_number(t.predicted_loss_db) : Json()}});
  }
  return Json{{"least_measured_db", json_number(r.least_measured_db)},
              {"predicted_before_db", json_number(r.predicted_before_db)},
              {"gradient_db", json_number(r.gradient_db)},
              {"kept_anchors", r.kept_anchors},
              {"tensors", tensors}}
             .dump(2) +
         "\n";
}

}  // namespace thimble
