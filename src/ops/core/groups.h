#pragma once

#include <cstdint>
#include <cstring>

#include "base/random.h"
#include "ops/core/kernel.h"
#include "ops/core/rounding.h"

namespace thimble {

// Groups of f32 values in 8 or 4 bits each (ActNN, arXiv 2104.14129): code c stands for
// (c + zero) * step. Where a group holds zero or both signs, `zero` is a whole number, so that zero
// stays zero. A group lies in one piece: step and zero as floats, then the codes.
inline constexpr int64_t kGroupValues = 256;
inline constexpr int64_t kGroupHeaderBytes = 8;

inline int64_t group_bytes(int64_t bits) { return kGroupHeaderBytes + kGroupValues * bits / 8; }

// The groups of a tensor of `elements` in memory: those of each sample by themselves, so that a
// sample gets the same bits in every microbatch.
struct Groups {
  int64_t samples = 0;
  int64_t sample_values = 0;
  int64_t bits = 8;

  int64_t per_sample() const { return (sample_values + kGroupValues - 1) / kGroupValues; }
  int64_t count() const { return samples * per_sample(); }
  int64_t bytes() const { return count() * group_bytes(bits); }

  // Where group `g` begins in the tensor, and how many values it has.
  int64_t begin(int64_t g) const {
    return g / per_sample() * sample_values + g % per_sample() * kGroupValues;
  }
  int64_t values(int64_t g) const {
    const int64_t left = sample_values - g % per_sample() * kGroupValues;
    return left < kGroupValues ? left : kGroupValues;
  }
};

// What the rounding of a tensor's groups is drawn from; `counter` holds step, seed, sample offset.
struct RoundingKey {
  const int32_t* counter = nullptr;
  uint32_t layer = 0;

  // Two words for a group. Of number i that `mixed` makes of them, the low half rounds value i, the
  // high half value i + 128.
  void of_group(const Groups& groups, int64_t g, uint32_t key[2]) const {
    const auto word = [&](int i) { return static_cast<uint32_t>(counter[i]); };
    const int64_t sample = g / groups.per_sample();
    const auto bits = philox({static_cast<uint32_t>(g % groups.per_sample()),
                              word(2) + static_cast<uint32_t>(sample), layer, word(0)},
                             {word(1), 0x726f756e});  // apart from other users of the seed
    key[0] = bits[0];
    key[1] = bits[1];
  }
};

struct GroupScale {
  float step = 0;
  float zero = 0;
  float inverse = 0;  // of the step
};

inline GroupScale group_scale(float low, float high, int64_t bits) {
  const auto levels = static_cast<float>((1 << bits) - 1);
  const float range = high - low;
  const bool has_zero = low <= 0 && high >= 0;
  // One value, or too small to divide by: code 0 stands for it.
  if (range < 1e-30f) return has_zero ? GroupScale{0, 0, 0} : GroupScale{low, 1, 0};
  if (!has_zero) {
    const float step = range / levels;
    return {step, low / step, 1 / step};
  }
  auto place = static_cast<float>(static_cast<int>(levels * (-low / range) + 0.5f));
  if (low < 0 && place < 1) place = 1;
  if (high > 0 && place > levels - 1) place = levels - 1;
  const float above = high > 0 ? high / (levels - place) : 0;
  const float below = low < 0 ? -low / place : 0;
  const float step = above > below ? above : below;
  return {step, -place, 1 / step};
}

// The naive twins of the vector kernels; `count` values, the rest of the group repeats the first.
template <class T>
void encode_group(const T* src, int64_t count, int64_t bits, const uint32_t key[2], uint8_t* out) {
  const auto value = [&](int64_t i) { return static_cast<float>(src[i < count ? i : 0]); };
  float low = value(0), high = value(0);
  for (int64_t i = 1; i < count; ++i) {
    low = value(i) < low ? value(i) : low;
    high = value(i) > high ? value(i) : high;
  }
  const GroupScale scale = group_scale(low, high, bits);
  std::memcpy(out, &scale.step, 4);
  std::memcpy(out + 4, &scale.zero, 4);
  const auto levels = static_cast<float>((1 << bits) - 1);
  const auto code = [&](int64_t i, uint32_t random) {
    float c = value(i) * scale.inverse - scale.zero + unit_of(random);
    c = c > 0 ? c : 0;  // what is not a number too
    return static_cast<uint32_t>(c < levels ? c : levels);
  };
  constexpr int64_t kHalf = kGroupValues / 2;
  uint8_t* codes = out + kGroupHeaderBytes;
  for (int64_t i = 0; i < kHalf; ++i) {
    const uint32_t random = mixed(key, static_cast<uint32_t>(i));
    const uint32_t first = code(i, random & 0xFFFF);
    const uint32_t second = code(i + kHalf, random >> 16);
    if (bits == 8) {
      codes[i] = static_cast<uint8_t>(first);
      codes[i + kHalf] = static_cast<uint8_t>(second);
    } else {
      codes[i] = static_cast<uint8_t>(first | second << 4);
    }
  }
}

template <class T>
void decode_group(const uint8_t* in, int64_t count, int64_t bits, T* dst) {
  float step, zero;
  std::memcpy(&step, in, 4);
  std::memcpy(&zero, in + 4, 4);
  const uint8_t* codes = in + kGroupHeaderBytes;
  constexpr int64_t kHalf = kGroupValues / 2;
  for (int64_t i = 0; i < count; ++i) {
    const int code = bits == 8 ? codes[i] : (i < kHalf ? codes[i] & 15 : codes[i - kHalf] >> 4);
    dst[i] = T((static_cast<float>(code) + zero) * step);
  }
}

}  // namespace thimble
