#pragma once

#include <bit>
#include <cstdint>

namespace thimble {

// A bfloat16 number: the upper half of a float.
using Bf16 = uint16_t;

inline float float_of(Bf16 x) { return std::bit_cast<float>(uint32_t{x} << 16); }

// Rounds to the nearest, ties to even, as processors do. NaN stays NaN.
inline Bf16 bf16_of(float x) {
  const auto bits = std::bit_cast<uint32_t>(x);
  if (x != x) return static_cast<Bf16>(bits >> 16 | 0x40);
  return static_cast<Bf16>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

}  // namespace thimble
