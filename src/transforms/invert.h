#pragma once

#include "transforms/core/technique.h"

namespace thimble {

// The least ratio of signal to noise, in dB, that is predicted for a tensor that is had again: with
// 100 it is off by some 1e-5 of its size, with 30 by 3%.
inline constexpr int64_t kUsualSnrDb = 100;
inline constexpr int64_t kMostSnrDb = 140;  // of float rounding itself
inline constexpr int64_t kAnySnr = 1000;    // however noisy

// Instead of a ratio: only what one cheap node cannot make again from kept tensors
// (transforms/recompute.h) is had again, and that from sums, which lose nothing.
inline constexpr int64_t kSumsAlone = 1001;

// Saved tensors are rebuilt in the backward pass from tensors that lie behind them, just before
// they are read. Where a chain of divisions would make one noisier than `snr_db` (or kAnySnr, or
// kSumsAlone), one on the way is kept, and the chain begins again from it. `training` comes from
// `add_optimizer`. A refusal names what loses its input.
Rewrite invert(const Graph& training, int64_t snr_db);

}  // namespace thimble
