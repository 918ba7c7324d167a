#pragma once

#include <cstdint>

namespace thimble {

// 32 bits for number `i` of a stream that the two words of `key` name: cheap enough for every
// element. static: kernels compiled for wider vectors have copies of their own.
static inline uint32_t mixed(const uint32_t key[2], uint32_t i) {
  uint32_t x = i * 0x9E3779B9u + key[0];
  x = (x ^ (x >> 16)) * 0x7FEB352Du + key[1];
  x = (x ^ (x >> 15)) * 0x846CA68Bu;
  return x ^ (x >> 16);
}

// In (0, 1), from 16 of those bits.
static inline float unit_of(uint32_t bits16) {
  return (static_cast<float>(static_cast<int32_t>(bits16)) + 0.5f) * 0x1p-16f;
}

}  // namespace thimble
