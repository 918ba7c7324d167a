#pragma once

#include <functional>

#include "runtime/setup.h"

namespace thimble {

// Trains what was planned: all epochs, an evaluation after each, checkpoint files and metrics in
// the run folder (when there is one), going on where the folder's checkpoint stands when the
// options say so. Killed at any time, it loses at most the work since the last checkpoint file.
TrainReport run_training(const Setup& setup, const Plan& plan,
                         const std::function<void(const Progress&)>& on_progress);

}  // namespace thimble
