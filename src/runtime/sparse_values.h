#pragma once

#include <cstddef>
#include <cstdint>

#include "ops/core/sparse.h"
#include "schedule/schedule.h"

namespace thimble {

// A sparse weight in memory (Buffer::dense is its whole shape), and as the dense tensor that files
// of models hold.
class SparseValues {
 public:
  SparseValues(const Buffer& buffer, std::byte* values, std::byte* index);
  // Active positions of a new run: each unit as likely as any other, from (seed, stream). Here and
  // below `scratch` has room for two numbers for each active unit.
  void draw_positions(uint64_t seed, uint64_t stream, std::byte* scratch) const;
  // Calls `body(i, position)` for value `i`, which stands at `position` of the dense tensor.
  template <class Body>
  void each(const Body& body) const {
    const SparseIndex index(index_, shape_.units(), active_);
    index.each([&](int64_t i, int64_t unit) {
      for (int64_t k = 0; k < shape_.block; ++k) {
        body(i * shape_.block + k, shape_.position(unit, k));
      }
    });
  }
  void write_dense(float* dense) const;
  // The units of the largest magnitudes: those that are not zero, when there are no more of them
  // than may be active.
  void take_largest(const float* dense, std::byte* scratch) const;
  // What came from a file is an index.
  bool is_valid() const;

  float* values() const { return values_; }

 private:
  void set_units(int32_t* units) const;  // sorts them

  SparseShape shape_;
  int64_t elements_;  // of the dense tensor
  int64_t active_;    // units
  float* values_;
  uint8_t* index_;
};

}  // namespace thimble
