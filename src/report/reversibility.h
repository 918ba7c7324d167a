#pragma once

#include <string>
#include <vector>

#include "report/text.h"
#include "thimble/thimble.h"

namespace thimble {

// Below this many dB what is had again is no longer what was there: an error of a tenth of it.
inline constexpr double kUsableSnrDb = 20;

// What makes the errors of what is had again smaller, the least change first. `options` with the
// usual values filled in.
std::vector<std::string> ways_to_less_noise(const TrainOptions& options);

// To be read before training begins; empty when the plan is predicted to stay usable.
std::string noise_warning(const PlanReport& plan, const TrainOptions& options);

// A line for each map that was had again, with a bar of its ratio, and what would raise the least.
std::string reversibility_text(const Reversibility& report, const TextStyle& style = {});
// Ratios that are endless are "exact", those that are no number "none"; what was not measured is
// null.
std::string to_json(const Reversibility& report);

}  // namespace thimble
