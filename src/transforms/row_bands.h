#pragma once

#include <cstdint>
#include <vector>

#include "graph/graph.h"

namespace thimble {

// Forward nodes [first, last) that read one map, `src`, and of whose results one, `dst`, is read
// behind them; every row of it comes from a few rows of `src`.
struct BandedRegion {
  size_t first = 0;
  size_t last = 0;
  TensorId src = kNoTensor;
  TensorId dst = kNoTensor;
  int64_t rows = 0;  // of `dst` in a band; the last band may have fewer
  friend bool operator==(const BandedRegion&, const BandedRegion&) = default;
};

// The regions that bring the bytes that a layer works with under the `divisor`th part of what the
// largest needs, or as far as bands can, for the least time. None when there is nothing to gain.
std::vector<BandedRegion> find_row_bands(const Graph& forward, int64_t divisor);

// Computes the regions band by band: a band's rows of `src` with the rows around them that windows
// reach (the halo, which neighbours compute again), the same layers, and its rows of `dst`. The
// same sums in another order; gradients too.
Graph use_row_bands(const Graph& forward, const std::vector<BandedRegion>& regions);

}  // namespace thimble
