#pragma once

#include <functional>

#include "runtime/setup.h"

namespace thimble {

// Training cannot go on: the loss is not a number any more.
class Diverged : public UserError {
 public:
  using UserError::UserError;
};

// Who looks on; either may be empty.
struct Watch {
  std::function<void(const Progress&)> on_progress;
  std::function<bool()> should_stop;
};

// Trains what was planned: all epochs, an evaluation after each, checkpoint files and metrics in
// the run folder (when there is one), going on where the folder's checkpoint stands when the
// options say so. Killed at any time, it loses at most the work since the last checkpoint file;
// asked to stop, it loses nothing but an evaluation under way.
TrainReport run_training(const Setup& setup, const Plan& plan, const Watch& watch);

}  // namespace thimble
