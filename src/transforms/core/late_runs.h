#pragma once

#include "transforms/recompute.h"

namespace thimble {

// Moves what runs again back to just before its first reader, together with what it is made from,
// where nothing is kept longer for it: each moved run reads what lies there anyway, or what moves
// with it. Never more memory, the same bits. It is for what stands beside a chain: a side network
// is run again with the segment that it begins in, and read only when the gradients of its block
// are formed.
Runs late_runs(const Graph& training, const Runs& runs);

}  // namespace thimble
