#include "runtime/learning_rate.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.h"
#include "base/names.h"

namespace thimble {
namespace {

const std::vector<std::string> kSchedules = {"constant", "step", "cosine"};

// What the schedule multiplies the rate with, after warm-up.
double schedule_factor(const OptimizerChoice& choice, int64_t step, int64_t warmup_steps,
                       int64_t steps_per_epoch, int64_t total_steps) {
  if (choice.schedule == "cosine") {
    if (step >= total_steps) return 0;
    const double progress =
        static_cast<double>(step - warmup_steps) / static_cast<double>(total_steps - warmup_steps);
    return 0.5 * (1 + std::cos(std::numbers::pi * progress));
  }
  double factor = 1;
  if (choice.schedule == "step") {
    for (const int64_t epoch : choice.step_epochs) {
      if (step / steps_per_epoch >= epoch) factor *= choice.step_factor;
    }
  }
  return factor;
}

}  // namespace

double learning_rate(const OptimizerChoice& choice, int64_t step, int64_t steps_per_epoch,
                     int64_t epochs) {
  ensure(step >= 0 && steps_per_epoch > 0 && epochs >= 0, "learning_rate: step ", step, " of ",
         epochs, " epochs of ", steps_per_epoch);
  const int64_t total_steps = steps_per_epoch * epochs;
  // Rounded after the minimum: any finite warmup_epochs fits.
  const int64_t warmup_steps =
      std::llround(std::min(choice.warmup_epochs * static_cast<double>(steps_per_epoch),
                            static_cast<double>(total_steps)));
  if (step < warmup_steps) {
    return choice.learning_rate *
           (static_cast<double>(step + 1) / static_cast<double>(warmup_steps));
  }
  return choice.learning_rate *
         schedule_factor(choice, step, warmup_steps, steps_per_epoch, total_steps);
}

void check_schedule(const OptimizerChoice& choice) {
  const auto require_number = [](bool good, const char* field, double came, const char* needed) {
    require(good && std::isfinite(came), field, " is ", came, ", needed ", needed);
  };
  require(std::ranges::find(kSchedules, choice.schedule) != kSchedules.end(),
          "optimizer.schedule is \"", choice.schedule, "\", needed one of ", joined(kSchedules),
          did_you_mean(choice.schedule, kSchedules));
  require_number(choice.warmup_epochs >= 0, "optimizer.warmup_epochs", choice.warmup_epochs,
                 "a finite number, at least 0");
  require_number(choice.step_factor > 0, "optimizer.step_factor", choice.step_factor,
                 "a finite number above 0");
  const bool by_steps = choice.schedule == "step";
  require(by_steps || choice.step_epochs.empty(),
          "optimizer.step_epochs are given, but the schedule is ", choice.schedule,
          "; hint: use schedule step");
  require(!by_steps || !choice.step_epochs.empty(),
          "schedule step needs optimizer.step_epochs, and has none");
  int64_t previous = 0;
  for (const int64_t epoch : choice.step_epochs) {
    require(epoch > previous, "optimizer.step_epochs has ", epoch, " after ", previous,
            ", needed epochs above 0 in rising order");
    previous = epoch;
  }
  require(!by_steps || static_cast<double>(choice.step_epochs[0]) >= choice.warmup_epochs,
          "optimizer.step_epochs begins with ",
          choice.step_epochs.empty() ? 0 : choice.step_epochs[0], ", inside the warm-up of ",
          choice.warmup_epochs, " epochs; needed after it");
}

}  // namespace thimble
