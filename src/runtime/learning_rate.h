#pragma once

#include <cstdint>

#include "thimble/thimble.h"

namespace thimble {

// The learning rate of a step, counted from 0 over all epochs. Warm-up is linear and ends with the
// full rate: 1/w, 2/w, ..., w/w of it over its w steps (warmup_epochs * steps_per_epoch, rounded).
// `cosine` then falls from the full rate towards 0 at the end of the last epoch; `step` multiplies
// at the first step of each epoch in step_epochs.
double learning_rate(const OptimizerChoice& choice, int64_t step, int64_t steps_per_epoch,
                     int64_t epochs);

// Throws UserError for a schedule that makes no sense.
void check_schedule(const OptimizerChoice& choice);

}  // namespace thimble
