#include "runtime/learning_rate.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <string_view>

#include "base/error.h"

namespace thimble {
namespace {

constexpr std::array<std::string_view, 3> kOptimizers = {"sgd", "adam", "adamw"};
constexpr std::array<std::string_view, 3> kSchedules = {"constant", "step", "cosine"};

template <size_t n>
void require_one_of(const char* field, const std::string& came,
                    const std::array<std::string_view, n>& names) {
  if (std::ranges::find(names, came) != names.end()) return;
  std::string list;
  for (const std::string_view name : names) (list += list.empty() ? "" : ", ") += name;
  throw UserError(str_cat(field, " is \"", came, "\", needed one of ", list));
}

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

void check_optimizer(const OptimizerChoice& choice) {
  // NaN fails every comparison: conditions are what must hold.
  const auto require_number = [](bool good, const char* field, double came, const char* needed) {
    require(good && std::isfinite(came), field, " is ", came, ", needed ", needed);
  };
  require_one_of("optimizer.name", choice.name, kOptimizers);
  require_one_of("optimizer.schedule", choice.schedule, kSchedules);
  require_number(choice.learning_rate >= 0, "optimizer.learning_rate", choice.learning_rate,
                 "a finite number, at least 0");
  require_number(choice.momentum >= 0 && choice.momentum < 1, "optimizer.momentum", choice.momentum,
                 "at least 0 and less than 1");
  require_number(choice.weight_decay >= 0, "optimizer.weight_decay", choice.weight_decay,
                 "a finite number, at least 0");
  require_number(choice.warmup_epochs >= 0, "optimizer.warmup_epochs", choice.warmup_epochs,
                 "a finite number, at least 0");
  require_number(choice.step_factor > 0, "optimizer.step_factor", choice.step_factor,
                 "a finite number above 0");
  require(!choice.nesterov || (choice.name == "sgd" && choice.momentum > 0),
          "optimizer.nesterov needs sgd with a momentum above 0; the optimizer is ", choice.name,
          " with momentum ", choice.momentum);

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
