#pragma once

#include <string>
#include <vector>

#include "thimble/thimble.h"

namespace thimble {

struct TextStyle {
  bool unicode = true;  // false: plain ASCII
};

// What would bring the process below a smaller budget, the most effective first. The options tell
// what there is to give up; the numbers are the report's.
std::vector<std::string> ways_to_lower(const PlanReport& report, const TrainOptions& options);

// The plan for people: totals, bytes by category, the peak step and its tensors, and what would
// lower it.
std::string plan_text(const PlanReport& report, const TrainOptions& options,
                      const TextStyle& style = {});

// Why it was not even tried: the budget, the smallest that would fit, the peak step and its
// tensors, and what to try. `task` is "training" or "evaluation".
std::string refusal_text(const PlanReport& report, const std::string& task,
                         const std::vector<std::string>& ways);

// Planned and measured bytes beside the budget, at the end of a run.
std::string contract_text(const PlanReport& plan, int64_t peak_rss_bytes);

// What came out, then the contract.
std::string result_text(const TrainReport& report);
std::string result_text(const EvalReport& report);

std::string calibration_text(const CalibrationReport& report);

// A line for each layer, and the totals.
std::string profile_text(const Profile& profile);

std::string listing_text(const Listing& listing);

}  // namespace thimble
