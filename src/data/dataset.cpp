#include "data/dataset.h"

#include "base/hash.h"

namespace thimble {

uint64_t Dataset::fingerprint() const {
  Hash hash;
  hash.add(description().data(), description().size());
  for (int64_t i = 0; i < size(); ++i) {
    const int32_t of = label(i);
    hash.add(&of, sizeof of);
  }
  return hash.value();
}

}  // namespace thimble
