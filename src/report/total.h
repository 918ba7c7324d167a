#pragma once

#include <algorithm>
#include <vector>

#include "thimble/thimble.h"

namespace thimble {

// Sums over the layers; of the temporary bytes, which take turns, the largest.
inline LayerProfile total_of(const std::vector<LayerProfile>& layers) {
  LayerProfile total;
  total.name = "total";
  for (const LayerProfile& l : layers) {
    total.parameters += l.parameters;
    total.forward_flops += l.forward_flops;
    total.backward_flops += l.backward_flops;
    total.saved_bytes += l.saved_bytes;
    total.temporary_bytes = std::max(total.temporary_bytes, l.temporary_bytes);
  }
  return total;
}

}  // namespace thimble
