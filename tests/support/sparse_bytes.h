#pragma once

#include <vector>

#include "ops/core/sparse.h"
#include "support/draw.h"

namespace thimble {

// The bytes of an index of these units, which ascend.
inline std::vector<uint8_t> index_of(const std::vector<int64_t>& units, const SparseShape& shape) {
  const auto count = static_cast<int64_t>(units.size());
  std::vector<uint8_t> bytes(static_cast<size_t>(index_bytes(shape, count)));
  const MutableSparseIndex index(bytes.data(), shape, count);
  size_t next = 0;
  index.write([&] { return units[next++]; });
  return bytes;
}

inline std::vector<double> as_doubles(const std::vector<uint8_t>& bytes) {
  return {bytes.begin(), bytes.end()};
}

// Every so many units, from `first` on.
inline std::vector<int64_t> every(int64_t step, int64_t first, int64_t all) {
  std::vector<int64_t> units;
  for (int64_t u = first; u < all; u += step) units.push_back(u);
  return units;
}

inline std::vector<int64_t> units_of(const std::vector<double>& bytes, const SparseShape& shape,
                                     int64_t count) {
  const std::vector<uint8_t> raw(bytes.begin(), bytes.end());
  std::vector<int64_t> units;
  SparseIndex(raw.data(), shape, count).each([&](int64_t, int64_t unit) { units.push_back(unit); });
  return units;
}

}  // namespace thimble
