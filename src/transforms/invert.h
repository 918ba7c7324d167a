#pragma once

#include "transforms/core/technique.h"

namespace thimble {

// What may be had again from later tensors instead of being kept.
enum class Inverted : int64_t {
  all = 1,
  sums = 2  // only what one cheap node cannot make again from kept tensors (transforms/recompute.h)
};

// Saved tensors are rebuilt in the backward pass from tensors that lie behind them, just before
// they are read. `training` comes from `add_optimizer`. A refusal names what loses its input.
Rewrite invert(const Graph& training, Inverted what);

}  // namespace thimble
