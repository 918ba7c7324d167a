#pragma once

#include <array>
#include <cstdint>

namespace thimble {

// Counter-based random numbers (Philox 4x32-10; Salmon et al., SC 2011): the same counter and key
// always give the same four words, so recomputation, resume and any number of threads draw the
// same bits.
std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

// A stream of draws named by (seed, stream); draws are numbered, never hidden in state.
class RandomStream {
 public:
  RandomStream(uint64_t seed, uint64_t stream) : seed_(seed), stream_(stream) {}

  uint64_t bits(uint64_t index) const;                 // 64 random bits
  double uniform(uint64_t index) const;                // in [0, 1)
  double normal(uint64_t index) const;                 // mean 0, variance 1 (Box-Muller)
  int64_t below(uint64_t index, int64_t bound) const;  // in [0, bound)

 private:
  uint64_t seed_;
  uint64_t stream_;
};

// A pseudo-random permutation of [0, size) that needs no table: `permuted(i)` for i = 0..size-1
// visits each index once. A four-round Feistel network over the next power of four, walked until
// it falls inside the range.
class Permutation {
 public:
  Permutation(int64_t size, uint64_t seed, uint64_t stream);
  int64_t permuted(int64_t index) const;

 private:
  int64_t size_;
  int half_bits_;
  uint64_t seed_;
  uint64_t stream_;
};

}  // namespace thimble
