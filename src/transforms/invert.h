#pragma once

#include "transforms/core/technique.h"
#include "transforms/core/ways.h"

namespace thimble {

// The least ratio of signal to noise, in dB, that is predicted for a tensor that is had again: with
// 100 it is off by some 1e-5 of its size, with 30 by 3%.
inline constexpr int64_t kUsualSnrDb = 100;
inline constexpr int64_t kMostSnrDb = kFloatSnrDb;
inline constexpr int64_t kAnySnr = 1000;  // however noisy

// Instead of a ratio: only what one cheap node cannot make again from kept tensors
// (transforms/recompute.h) is had again, and that from sums, which lose little.
inline constexpr int64_t kSumsAlone = 1001;
// Only what is had again to the bit (ops/fixed_point.cpp): the same bits as kept.
inline constexpr int64_t kExact = 1002;

// An option of `invert`: one of these ratios, and what happens inside of couplings' branches.
int64_t invert_option(int64_t snr_db, Inside inside);

// What an option decides for this graph.
Ways ways_of(const Graph& training, int64_t option);

// Saved tensors are rebuilt in the backward pass from tensors that lie behind them, as soon as
// those are read no more. Where a chain of divisions would make one noisier than the option's
// ratio, one on the way is kept, and the chain begins again from it. `training` comes from
// `add_optimizer`. A refusal names what loses its input.
Rewrite invert(const Graph& training, int64_t option);

}  // namespace thimble
