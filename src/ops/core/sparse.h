#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "base/shape.h"
#include "graph/attributes.h"

// A weight of which some positions are active: their values, in the order of the positions, and an
// index that says where they are. A weight is seen as rows, one for each output (its first
// dimension), of `row` elements each. A unit is one position or, in blocks, that position in 16
// neighbouring outputs, whose 16 values stand together. Units are numbered in the order of the
// rows: number = (output / block) * row + place in the row.
//
// The index in memory: units in tiles of 65536; for each tile, the number of active units in front
// of it (uint32, and one more for all); then for each active unit its number within the tile
// (uint16), so that a position takes two bytes.

namespace thimble {

struct SparseShape {
  int64_t outputs = 0;
  int64_t row = 0;    // elements of one output
  int64_t block = 1;  // neighbouring outputs that are active together: 1 or 16; divides outputs

  SparseShape(const Shape& dense, int64_t block_size)
      : outputs(dense[0]), row(dense.elements() / dense[0]), block(block_size) {}
  int64_t units() const { return outputs / block * row; }
  // Where the unit's value for its output `k` stands in the dense weight, row by row.
  int64_t position(int64_t unit, int64_t k) const {
    return (unit / row * block + k) * row + unit % row;
  }
};

// From the attributes "shape" and "block" of an op.
inline Shape dense_shape(const Attributes& a) {
  Shape dense;
  for (int64_t d : a.integers("shape")) dense.push_back(d);
  return dense;
}
inline SparseShape sparse_shape(const Attributes& a) {
  return {dense_shape(a), a.integer("block")};
}

inline constexpr int64_t kTileUnits = 65536;
inline int64_t sparse_tiles(int64_t units) { return (units + kTileUnits - 1) / kTileUnits; }
// Of the index of `active` units among `units`; a multiple of 4.
inline int64_t index_bytes(int64_t units, int64_t active) {
  return 4 * (sparse_tiles(units) + 1) + (2 * active + 3) / 4 * 4;
}

// An index in memory. `Byte` is const where it is only read.
template <class Byte>
struct SparseIndexOf {
  Byte* data;
  int64_t tiles;
  int64_t count;  // active units

  SparseIndexOf(Byte* bytes, int64_t units, int64_t active)
      : data(bytes), tiles(sparse_tiles(units)), count(active) {}

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

  // Calls `body(i, unit)` for the active units [begin, end) of those of one tile.
  template <class Body>
  void each_of_tile(int64_t tile, const Body& body) const {
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

  // Whether it is one: ascending, and every unit below `units`. What a file holds is asked this.
  bool is_valid(int64_t units) const {
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
};
using SparseIndex = SparseIndexOf<const uint8_t>;
using MutableSparseIndex = SparseIndexOf<uint8_t>;

}  // namespace thimble
