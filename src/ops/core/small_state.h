#pragma once

#include <cstdint>

#include "ops/core/rounding.h"

// Optimizer state in 8 bits (arXiv 2110.02861): blocks of 256 values, each its largest magnitude as
// a float and a byte for each value. Bytes are not spaced evenly: a signed one k stands for
// +-(k/127)^2 of the largest, an unsigned one for (k/255)^4, so that small values keep some digits,
// as with the paper's tree of bytes, but by arithmetic that vectorises instead of a table. Zero is
// zero, the largest value is kept exactly, and no positive second moment becomes zero. So bytes
// that were decoded are the same when encoded again: files hold plain floats.
//
// static, and nothing of the standard library: compiled once per instruction set.

namespace thimble {

inline constexpr int64_t kStateBlock = 256;  // values
inline int64_t state_blocks(int64_t count) { return (count + kStateBlock - 1) / kStateBlock; }

// Of `count` values; a last short block ends at four bytes.
static inline int64_t small_state_bytes(int64_t count) {
  const int64_t rest = count % kStateBlock;
  return count / kStateBlock * (4 + kStateBlock) + (rest > 0 ? 4 + (rest + 3) / 4 * 4 : 0);
}

struct StateBlock {
  uint8_t* at;
  int64_t count;

  [[gnu::always_inline]] static StateBlock of(uint8_t* state, int64_t values, int64_t block) {
    const int64_t left = values - block * kStateBlock;
    return {state + block * (4 + kStateBlock), left < kStateBlock ? left : kStateBlock};
  }
  [[gnu::always_inline]] uint8_t* codes() const { return at + 4; }
  [[gnu::always_inline]] float largest() const {
    float x;
    __builtin_memcpy(&x, at, 4);
    return x;
  }
};

static inline void decode_signed(StateBlock b, float* values) {
  const float largest = b.largest();
  const uint8_t* codes = b.codes();
  for (int64_t i = 0; i < b.count; ++i) {
    const auto k = static_cast<float>(static_cast<int8_t>(codes[i]));
    values[i] = k * __builtin_fabsf(k) / 16129.0f * largest;
  }
}

static inline void decode_unsigned(StateBlock b, float* values) {
  const float largest = b.largest();
  const uint8_t* codes = b.codes();
  for (int64_t i = 0; i < b.count; ++i) {
    const auto k = static_cast<float>(codes[i]);
    const float root = k * k / 65025.0f;
    values[i] = root * root * largest;
  }
}

// Writes the largest magnitude; false when nothing can be divided by it: codes are zeros then, and
// what is not a number stays so.
static inline bool begin_block(StateBlock b, const float* values) {
  int32_t largest_bits = 0;  // magnitudes compare like their bits
  for (int64_t i = 0; i < b.count; ++i) {
    const int32_t bits = __builtin_bit_cast(int32_t, values[i]) & 0x7FFFFFFF;
    largest_bits = bits > largest_bits ? bits : largest_bits;
  }
  __builtin_memcpy(b.at, &largest_bits, 4);
  __builtin_memset(b.codes() + b.count, 0, static_cast<unsigned long>((4 - b.count % 4) % 4));
  if (largest_bits > 0 && largest_bits < 0x7F800000) return true;
  __builtin_memset(b.codes(), 0, static_cast<unsigned long>(b.count));
  return false;
}

// Up or down at random, so that the mean is right; `first` numbers the block's first value.
// Without a key: to the nearest.
static inline void encode_signed(StateBlock b, const float* values, const uint32_t* key,
                                 uint32_t first) {
  if (!begin_block(b, values)) return;
  const float largest = b.largest();
  uint8_t* codes = b.codes();
  for (int64_t i = 0; i < b.count; ++i) {
    const float square = __builtin_fabsf(values[i]) / largest * 16129.0f;
    const float root = __builtin_sqrtf(square);
    float code = static_cast<float>(static_cast<int32_t>(key != nullptr ? root : root + 0.5f));
    if (key != nullptr) {
      const float u = unit_of(mixed(key, first + static_cast<uint32_t>(i)) & 0xFFFF);
      code += u * (2 * code + 1) < square - code * code ? 1.0f : 0.0f;
    }
    code = code < 127.0f ? code : 127.0f;
    const float with_sign = values[i] < 0 ? -code : code;
    codes[i] = static_cast<uint8_t>(static_cast<int32_t>(with_sign));
  }
}

static inline void encode_unsigned(StateBlock b, const float* values, const uint32_t* key,
                                   uint32_t first) {
  if (!begin_block(b, values)) return;
  constexpr float kLast = 65025.0f * 65025.0f;
  const float largest = b.largest();
  uint8_t* codes = b.codes();
  for (int64_t i = 0; i < b.count; ++i) {
    const float fourth = values[i] / largest * kLast;
    const float root = __builtin_sqrtf(__builtin_sqrtf(fourth));
    float code = static_cast<float>(static_cast<int32_t>(key != nullptr ? root : root + 0.5f));
    if (key != nullptr) {
      const float u = unit_of(mixed(key, first + static_cast<uint32_t>(i)) >> 16);
      const float low = code * code * (code * code);
      const float next = (code + 1) * (code + 1);
      code += u * (next * next - low) < fourth - low ? 1.0f : 0.0f;
    }
    // A weight would leap if its second moment were rounded to nothing.
    if (values[i] > 0 && code < 1) code = 1;
    code = code < 255.0f ? code : 255.0f;
    codes[i] = static_cast<uint8_t>(static_cast<int32_t>(code));
  }
}

// A step of momentum SGD; the weights move by the momentum as it was before rounding.
struct SmallSgd {
  float* weights = nullptr;
  const float* diff = nullptr;
  uint8_t* momentum = nullptr;
  int64_t count = 0;
  float lr = 0, keep = 0, decay = 0;
  bool nesterov = false;
  uint32_t key[2] = {0, 0};
};

static inline void small_sgd(const SmallSgd& a, int64_t begin, int64_t end) {
  float velocity[kStateBlock];
  const float lr = a.lr, keep = a.keep, decay = a.decay;
  for (int64_t block = begin; block < end; ++block) {
    const StateBlock b = StateBlock::of(a.momentum, a.count, block);
    float* weights = a.weights + block * kStateBlock;
    const float* diff = a.diff + block * kStateBlock;
    decode_signed(b, velocity);
    for (int64_t i = 0; i < b.count; ++i) {
      const float g = diff[i] + decay * weights[i];
      velocity[i] = keep * velocity[i] + g;
      weights[i] -= lr * (a.nesterov ? g + keep * velocity[i] : velocity[i]);
    }
    encode_signed(b, velocity, a.key, static_cast<uint32_t>(block * kStateBlock));
  }
}

// A step of Adam or AdamW: the factors are those of adam_step.h.
struct SmallAdam {
  float* weights = nullptr;
  const float* diff = nullptr;
  uint8_t* mean = nullptr;
  uint8_t* square = nullptr;
  int64_t count = 0;
  float keep1 = 0, take1 = 0, keep2 = 0, take2 = 0, shrink = 1, decay = 0, step_size = 0,
        root_correction = 1, epsilon = 0;
  uint32_t key[2] = {0, 0};
};

static inline void small_adam(const SmallAdam& a, int64_t begin, int64_t end) {
  float mean[kStateBlock], square[kStateBlock];
  const SmallAdam f = a;  // a copy: no store changes it
  for (int64_t block = begin; block < end; ++block) {
    const StateBlock m = StateBlock::of(a.mean, a.count, block);
    const StateBlock v = StateBlock::of(a.square, a.count, block);
    float* weights = a.weights + block * kStateBlock;
    const float* diff = a.diff + block * kStateBlock;
    decode_signed(m, mean);
    decode_unsigned(v, square);
    for (int64_t i = 0; i < m.count; ++i) {
      const float g = diff[i] + f.decay * weights[i];
      mean[i] = f.keep1 * mean[i] + f.take1 * g;
      square[i] = f.keep2 * square[i] + f.take2 * g * g;
      const float root = __builtin_sqrtf(square[i]) / f.root_correction;
      weights[i] = f.shrink * weights[i] - f.step_size * mean[i] / (root + f.epsilon);
    }
    const auto first = static_cast<uint32_t>(block * kStateBlock);
    encode_signed(m, mean, a.key, first);
    encode_unsigned(v, square, a.key, first);
  }
}

}  // namespace thimble
