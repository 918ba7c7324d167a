#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

#include "base/shape.h"
#include "ops/core/op.h"

// A weight of which some positions are active: their values, in the order of the positions, and an
// index that says where they are. A weight is seen as rows, one for each output (its first
// dimension), of `row` elements each. A unit is one position or, in blocks, that position in 16
// neighbouring outputs, whose 16 values stand together. Units are numbered in the order of the
// rows: number = (output / block) * row + place in the row.
//
// The index in memory: units in tiles of 65536; for each tile, the number of active units in front
// of it (uint32, and one more for all); then for each active unit its number within the tile
// (uint16), so that a position takes two bytes.
//
// N:M: of each M neighbouring units exactly N are active (arXiv 2104.08378). Neighbours are then
// input channels at the same tap of the kernel, as in hardware that computes on them, and the index
// is the place of each active unit in its group, in log2 M bits, one after the other.

namespace thimble {

// Outputs whose values stand together where units are blocks.
inline constexpr int64_t kSparseBlock = 16;

struct SparseShape {
  int64_t outputs = 0;
  int64_t row = 0;    // elements of one output
  int64_t block = 1;  // neighbouring outputs that are active together: 1 or 16; divides outputs
  int64_t group = 1;  // M of N:M, a power of two that divides the input channels; 1: no groups
  int64_t taps = 1;   // of the kernel, in groups; units of a row are then numbered tap by tap

  SparseShape(const Shape& dense, int64_t block_size, int64_t group_size)
      : outputs(dense[0]),
        row(dense.elements() / dense[0]),
        block(block_size),
        group(group_size),
        taps(group_size > 1 ? row / dense[1] : 1) {}
  int64_t units() const { return outputs / block * row; }
  int64_t groups() const { return units() / group; }
  // Where the unit of a place in its row stands in the dense row.
  int64_t in_row(int64_t place) const {
    if (taps == 1) return place;
    const int64_t channels = row / taps;
    return place % channels * taps + place / channels;
  }
  // Where the unit's value for its output `k` stands in the dense weight, row by row.
  int64_t position(int64_t unit, int64_t k) const {
    return (unit / row * block + k) * row + in_row(unit % row);
  }
};

// The attributes of ops on a sparse weight, of which these three are read.
inline std::vector<AttributeSpec> sparse_attributes(int64_t usual_block = 1) {
  return {{"shape", std::vector<int64_t>{}, "of the dense weight"},
          {"block", usual_block, "neighbouring outputs that are active together: 1 or 16"},
          {"group", int64_t{1}, "neighbouring channels of which equally many are active; 1: none"}};
}
inline Shape dense_shape(const Attributes& a) {
  Shape dense;
  for (int64_t d : a.integers("shape")) dense.push_back(d);
  return dense;
}
inline SparseShape sparse_shape(const Attributes& a) {
  return {dense_shape(a), a.integer("block"), a.integer("group")};
}
inline SparseShape sparse_shape(const Tensor& weight) {
  return {weight.dense, weight.block, weight.group};
}
inline Attributes attributes_of_sparse(const Tensor& weight) {
  return {{"shape", std::vector<int64_t>{weight.dense.begin(), weight.dense.end()}},
          {"block", weight.block},
          {"group", weight.group}};
}

inline constexpr int64_t kTileUnits = 65536;
inline constexpr int64_t kLargestGroup = 32;
// A size of groups, 1 for none.
inline bool is_group(int64_t size) {
  return size >= 1 && size <= kLargestGroup && (size & (size - 1)) == 0;
}
inline int64_t sparse_tiles(const SparseShape& shape) {
  return (shape.units() + kTileUnits - 1) / kTileUnits;
}
// Bits of a place in a group.
inline int64_t place_bits(int64_t group) { return std::countr_zero(static_cast<uint64_t>(group)); }
// Of so many places; one is read as two bytes.
inline int64_t place_bytes(int64_t count, int64_t group) {
  return (count * place_bits(group) / 8 + 2 + 3) / 4 * 4;
}
// Of the index of `active` units; a multiple of 4.
inline int64_t index_bytes(const SparseShape& shape, int64_t active) {
  if (shape.group > 1) return place_bytes(active, shape.group);
  return 4 * (sparse_tiles(shape) + 1) + (2 * active + 3) / 4 * 4;
}

// Of one bit for each unit; a multiple of 4.
inline int64_t explored_bytes(const SparseShape& shape) { return (shape.units() + 31) / 32 * 4; }

// An index in memory. `Byte` is const where it is only read.
template <class Byte>
struct SparseIndexOf {
  Byte* data;
  int64_t units, tiles;
  int64_t count;               // active units
  int64_t group, each_active;  // N:M: M and N
  int64_t bits;

  SparseIndexOf(Byte* bytes, const SparseShape& shape, int64_t active)
      : data(bytes),
        units(shape.units()),
        tiles(sparse_tiles(shape)),
        count(active),
        group(shape.group),
        each_active(active / shape.groups()),
        bits(place_bits(shape.group)) {}

  // Calls `body(i, unit)` for the active units of one tile, the i-th of all.
  template <class Body>
  void each_of_tile(int64_t tile, const Body& body) const {
    if (group > 1) return each_of_groups(tile, body);
    const int64_t end = begin_of(tile + 1);
    const auto* numbers = low();
    for (int64_t i = begin_of(tile); i < end; ++i) body(i, tile * kTileUnits + numbers[i]);
  }
  template <class Body>
  void each(const Body& body) const {
    for (int64_t tile = 0; tile < tiles; ++tile) each_of_tile(tile, body);
  }

  // Writes an index of ascending units, which `next()` gives one by one, `count` of them.
  template <class Next>
  void write(const Next& next) const {
    if (group > 1) return write_places(next);
    int64_t tile = 0;
    set_begin(0, 0);
    for (int64_t i = 0; i < count; ++i) {
      const int64_t unit = next();
      while (unit >= (tile + 1) * kTileUnits) set_begin(++tile, i);
      low()[i] = static_cast<uint16_t>(unit - tile * kTileUnits);
    }
    while (tile < tiles) set_begin(++tile, count);
    if (count % 2 != 0) low()[count] = 0;  // the last bytes are of no unit
  }

  // Whether it is one: ascending, and every unit one of the weight's. What a file holds is asked
  // this.
  bool is_valid() const {
    if (group > 1) return has_valid_places();
    if (begin_of(0) != 0 || begin_of(tiles) != count) return false;
    for (int64_t tile = 0; tile < tiles; ++tile) {
      const int64_t begin = begin_of(tile), end = begin_of(tile + 1);
      if (begin > end || end > count) return false;
      for (int64_t i = begin; i < end; ++i) {
        if (i > begin && low()[i] <= low()[i - 1]) return false;
        if (tile * kTileUnits + low()[i] >= units) return false;
      }
    }
    return true;
  }

 private:
  int64_t begin_of(int64_t tile) const {
    uint32_t begin;
    std::memcpy(&begin, data + 4 * tile, 4);
    return begin;
  }
  void set_begin(int64_t tile, int64_t begin) const {
    const auto value = static_cast<uint32_t>(begin);
    std::memcpy(data + 4 * tile, &value, 4);
  }
  auto* low() const {
    using Low = std::conditional_t<std::is_const_v<Byte>, const uint16_t, uint16_t>;
    return reinterpret_cast<Low*>(data + 4 * (tiles + 1));
  }

  int64_t place(int64_t i) const {
    uint16_t two;
    std::memcpy(&two, data + i * bits / 8, 2);
    return (two >> (i * bits % 8)) & (group - 1);
  }
  template <class Body>
  void each_of_groups(int64_t tile, const Body& body) const {
    const int64_t end = std::min((tile + 1) * kTileUnits, units) / group;
    for (int64_t g = tile * kTileUnits / group; g < end; ++g) {
      for (int64_t i = g * each_active; i < (g + 1) * each_active; ++i) {
        body(i, g * group + place(i));
      }
    }
  }
  template <class Next>
  void write_places(const Next& next) const {
    std::memset(data, 0, static_cast<size_t>(place_bytes(count, group)));
    for (int64_t i = 0; i < count; ++i) {
      uint16_t two;
      std::memcpy(&two, data + i * bits / 8, 2);
      two = static_cast<uint16_t>(two | (next() & (group - 1)) << (i * bits % 8));
      std::memcpy(data + i * bits / 8, &two, 2);
    }
  }
  bool has_valid_places() const {
    for (int64_t i = 1; i < count; ++i) {
      if (i % each_active != 0 && place(i) <= place(i - 1)) return false;
    }
    return true;
  }
};
using SparseIndex = SparseIndexOf<const uint8_t>;
using MutableSparseIndex = SparseIndexOf<uint8_t>;

}  // namespace thimble
