#pragma once

#include "backends/onednn/api.h"

namespace thimble::onednn {

// True where an element's address is the sum of what each of its indices adds.
inline bool has_addresses(const Desc& desc) {
  return desc.data.format_kind == dnnl_blocked && desc.data.offset0 == 0;
}

// What index `x` of dimension `d` adds, in elements.
inline int64_t address_of(const Desc& desc, int d, int64_t x) {
  const auto& b = desc.data.format_desc.blocking;
  int64_t result = 0, step = 1;
  for (int i = b.inner_nblks; i-- > 0;) {
    if (b.inner_idxs[i] == d) {
      result += x % b.inner_blks[i] * step;
      x /= b.inner_blks[i];
    }
    step *= b.inner_blks[i];
  }
  return result + x * b.strides[d];
}

}  // namespace thimble::onednn
