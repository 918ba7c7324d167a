#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include "base/random.h"
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
    const SparseIndex index(index_, shape_, active_);
    index.each([&](int64_t i, int64_t unit) {
      for (int64_t k = 0; k < shape_.block; ++k) {
        body(i * shape_.block + k, shape_.position(unit, k));
      }
    });
  }
  // The dense tensor comes and goes in parts, those of the outputs of a block: `part` has room for
  // one, of part_elements() numbers. Calls `write()` when the next stands there.
  void write_dense(float* part, const std::function<void()>& write) const;
  // The units of the largest magnitudes: those that are not zero, when there are no more of them
  // than may be active. `read(p)` brings part p.
  void take_largest(float* part, const std::function<void(int64_t)>& read,
                    std::byte* scratch) const;
  int64_t part_elements() const { return shape_.block * shape_.row; }
  // What came from a file is an index.
  bool is_valid() const;

  // Positions that are active or have been, as `explored` notes (ops/mark_active.cpp).
  int64_t count_explored(const std::byte* explored) const;

  float* values() const { return values_; }

 private:
  void draw_in_groups(const RandomStream& random, int32_t* units) const;
  void set_units(int32_t* units) const;  // sorts them

  // Calls `at(p)` before the first unit of part p, which may have none, and `body(i, place)` for
  // value `i` that stands at a place of the part.
  template <class At, class Body>
  void each_by_parts(const At& at, const Body& body) const {
    const int64_t elements = part_elements(), parts = shape_.outputs / shape_.block;
    int64_t part = -1;
    SparseIndex(index_, shape_, active_).each([&](int64_t i, int64_t unit) {
      while (part < unit / shape_.row) at(++part);
      for (int64_t k = 0; k < shape_.block; ++k) {
        body(i * shape_.block + k, shape_.position(unit, k) - part * elements);
      }
    });
    while (part < parts - 1) at(++part);
  }

  SparseShape shape_;
  int64_t active_;  // units
  float* values_;
  uint8_t* index_;
};

}  // namespace thimble
