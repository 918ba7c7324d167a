#pragma once

#include <algorithm>
#include <cstdint>

#include "ops/core/kernel.h"

namespace thimble {

// Items that a thread should take at least, when one costs `work` scalar operations.
inline int64_t grain_of(int64_t work) {
  return std::max<int64_t>(1, kParallelGrain / std::max<int64_t>(1, work));
}

// Sums run in a fixed number of lanes: a fixed order, and one that compilers vectorise.
inline constexpr int64_t kSumLanes = 16;

template <class T>
T sum(const T* values, int64_t count) {
  T lanes[kSumLanes] = {};
  int64_t i = 0;
  for (; i + kSumLanes <= count; i += kSumLanes) {
    for (int64_t k = 0; k < kSumLanes; ++k) lanes[k] += values[i + k];
  }
  for (int64_t k = 0; i < count; ++i, ++k) lanes[k] += values[i];
  T total(0);
  for (const T& lane : lanes) total += lane;
  return total;
}

template <class T>
T dot(const T* a, const T* b, int64_t count) {
  T lanes[kSumLanes] = {};
  int64_t i = 0;
  for (; i + kSumLanes <= count; i += kSumLanes) {
    for (int64_t k = 0; k < kSumLanes; ++k) lanes[k] += a[i + k] * b[i + k];
  }
  for (int64_t k = 0; i < count; ++i, ++k) lanes[k] += a[i] * b[i];
  T total(0);
  for (const T& lane : lanes) total += lane;
  return total;
}

}  // namespace thimble
