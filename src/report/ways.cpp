#include <algorithm>

#include "base/bytes.h"
#include "base/error.h"
#include "report/format.h"
#include "report/text.h"

namespace thimble {
namespace {

enum : size_t { kWeights, kOptimizer, kGradients, kSaved, kTemporaries, kScratchpad, kData };

// Saved, temporaries, scratchpad and data.
std::vector<std::string> fewer_activations(int64_t bytes, const ModelChoice& model) {
  const std::string grow = str_cat(format_bytes(bytes), " at the peak grow with ");
  std::vector<std::string> ways;
  if (model.batch != 1) ways.push_back(str_cat("a smaller --batch: ", grow, "it"));
  ways.push_back(str_cat("a smaller --input: ", grow, "its pixels"));
  return ways;
}

// Weights, optimizer and gradients.
std::vector<std::string> fewer_weights(const PlanReport& r, int64_t bytes, const ModelChoice& model,
                                       const OptimizerChoice& optimizer) {
  std::vector<std::string> ways;
  const bool from_a_file = model.name.find('.') != model.name.npos;  // has the width that it has
  if (!from_a_file) {
    ways.push_back(
        str_cat("a smaller --width: weights and what belongs to them take ", format_bytes(bytes)));
  }
  const std::string state = format_bytes(r.by_category[kOptimizer]);
  if (optimizer.name != "sgd") {
    ways.push_back(str_cat("--optimizer sgd: one number of state a weight; ", optimizer.name,
                           " keeps two (", state, ")"));
  } else if (r.by_category[kOptimizer] > 0) {
    ways.push_back(str_cat("--momentum 0: no optimizer state (", state, ")"));
  }
  return ways;
}

// What was tried, with what the user accepts by it.
std::string allowance(const AllowanceTrial& t, const PlanReport& r) {
  std::string names;
  for (const std::string& name : t.names) names += (names.empty() ? "" : ",") + name;
  std::string text = str_cat("--allow ", names, ": ", t.fits ? "fits, taking " : "still takes ",
                             "about ", format_bytes(t.process_bytes));
  if (t.predicted_step_seconds > 0 && r.predicted_step_seconds > 0) {
    text += str_cat(" and ", format_seconds(t.predicted_step_seconds), " a step");
  }
  const char* between = "; you accept to ";
  for (const std::string& accepts : t.accepts) {
    text += between + accepts;
    between = ", and to ";
  }
  return text;
}

}  // namespace

std::vector<std::string> ways_to_lower(const PlanReport& r, const TrainOptions& options) {
  const auto& c = r.by_category;
  const int64_t activations = c[kSaved] + c[kTemporaries] + c[kScratchpad] + c[kData];
  const int64_t parameters = c[kWeights] + c[kOptimizer] + c[kGradients];
  std::vector<std::string> ways = fewer_activations(activations, options.model);
  const std::vector<std::string> other =
      fewer_weights(r, parameters, options.model, options.optimizer);
  ways.insert(parameters > activations ? ways.begin() : ways.end(), other.begin(), other.end());
  if (r.fixed_bytes > std::max(activations, parameters) && options.backend != "portable") {
    ways.push_back(str_cat("--backend portable: slower; the program itself takes ",
                           format_bytes(r.fixed_bytes), " here"));
  }
  if (r.budget_bytes > 0 && r.fixed_bytes >= r.budget_bytes) {
    ways.insert(ways.begin(), str_cat("a larger --budget: the program itself takes ",
                                      format_bytes(r.fixed_bytes), ", whatever the model"));
  }
  std::vector<std::string> allowances;
  for (const AllowanceTrial& t : r.allowances) {
    if (t.fits || t.process_bytes < r.process_bytes) allowances.push_back(allowance(t, r));
  }
  ways.insert(ways.begin(), allowances.begin(), allowances.end());
  return ways;
}

}  // namespace thimble
