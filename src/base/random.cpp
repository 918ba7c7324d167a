#include "base/random.h"

#include <cmath>

#include "base/error.h"

namespace thimble {
namespace {

constexpr double kTwoPi = 6.283185307179586476925286766559;

uint32_t low(uint64_t v) { return static_cast<uint32_t>(v); }
uint32_t high(uint64_t v) { return static_cast<uint32_t>(v >> 32); }

}  // namespace

std::array<uint32_t, 4> philox(std::array<uint32_t, 4> c, std::array<uint32_t, 2> k) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53} * c[0];
    const uint64_t p1 = uint64_t{0xCD9E8D57} * c[2];
    c = {high(p1) ^ c[1] ^ k[0], low(p1), high(p0) ^ c[3] ^ k[1], low(p0)};
    k[0] += 0x9E3779B9;
    k[1] += 0xBB67AE85;
  }
  return c;
}

uint64_t RandomStream::bits(uint64_t index) const {
  const auto r =
      philox({low(index), high(index), low(stream_), high(stream_)}, {low(seed_), high(seed_)});
  return uint64_t{r[0]} << 32 | r[1];
}

double RandomStream::uniform(uint64_t index) const {
  return static_cast<double>(bits(index) >> 11) * 0x1.0p-53;
}

double RandomStream::normal(uint64_t index) const {
  const auto r = philox({low(index), high(index), low(stream_), high(stream_) ^ 0x80000000u},
                        {low(seed_), high(seed_)});
  const double u = (static_cast<double>(r[0]) + 0.5) * 0x1.0p-32;
  const double v = (static_cast<double>(r[1]) + 0.5) * 0x1.0p-32;
  return std::sqrt(-2 * std::log(u)) * std::cos(kTwoPi * v);
}

int64_t RandomStream::below(uint64_t index, int64_t bound) const {
  // The bias of a 64-bit multiply-shift is under 2^-32 for every bound that we use.
  return static_cast<int64_t>(
      (static_cast<unsigned __int128>(bits(index)) * static_cast<uint64_t>(bound)) >> 64);
}

Permutation::Permutation(int64_t size, uint64_t seed, uint64_t stream)
    : size_(size), half_bits_(1), seed_(seed), stream_(stream) {
  ensure(size > 0, "a permutation needs at least one element");
  while (half_bits_ < 31 && (int64_t{1} << (2 * half_bits_)) < size) ++half_bits_;
}

int64_t Permutation::permuted(int64_t index) const {
  const uint32_t mask = (1u << half_bits_) - 1;
  auto walk = static_cast<uint64_t>(index);
  do {
    auto left = static_cast<uint32_t>(walk >> half_bits_) & mask;
    auto right = static_cast<uint32_t>(walk) & mask;
    for (uint32_t round = 0; round < 4; ++round) {
      const auto r = philox({right, round, low(stream_), high(stream_)}, {low(seed_), high(seed_)});
      const uint32_t next = (left ^ r[0]) & mask;
      left = right;
      right = next;
    }
    walk = uint64_t{left} << half_bits_ | right;
  } while (walk >= static_cast<uint64_t>(size_));
  return static_cast<int64_t>(walk);
}

}  // namespace thimble
