#include "runtime/sparse_values.h"

#include <algorithm>
#include <array>
#include <bit>
#include <numeric>

#include "ops/core/drop_grow.h"

namespace thimble {

SparseValues::SparseValues(const Buffer& buffer, std::byte* values, std::byte* index)
    : shape_(buffer.dense, buffer.block, buffer.group),
      active_(buffer.shape.elements() / buffer.block),
      values_(reinterpret_cast<float*>(values)),
      index_(reinterpret_cast<uint8_t*>(index)) {}

void SparseValues::set_units(int32_t* units) const {
  std::sort(units, units + active_);
  const MutableSparseIndex index(index_, shape_, active_);
  index.write([&] { return int64_t{*units++}; });
}

void SparseValues::draw_positions(uint64_t seed, uint64_t stream, std::byte* scratch) const {
  auto* units = reinterpret_cast<int32_t*>(scratch);
  if (shape_.group > 1) {
    draw_in_groups(RandomStream(seed, stream), units);
  } else {
    const Permutation permutation(shape_.units(), seed, stream);
    for (int64_t i = 0; i < active_; ++i) units[i] = static_cast<int32_t>(permutation.permuted(i));
  }
  set_units(units);
}

void SparseValues::draw_in_groups(const RandomStream& random, int32_t* units) const {
  const auto size = static_cast<size_t>(shape_.group);
  const auto each = static_cast<size_t>(active_ / shape_.groups());
  uint64_t draws = 0;
  for (int64_t g = 0; g < shape_.groups(); ++g) {
    std::array<int32_t, kLargestGroup> places;
    std::iota(places.begin(), places.begin() + shape_.group,
              static_cast<int32_t>(g * shape_.group));
    for (size_t i = 0; i < each; ++i) {
      const auto left = static_cast<int64_t>(size - i);
      std::swap(places[i], places[i + static_cast<size_t>(random.below(draws++, left))]);
      *units++ = places[i];
    }
  }
}

void SparseValues::write_dense(float* part, const std::function<void()>& write) const {
  each_by_parts(
      [&](int64_t p) {
        if (p > 0) write();
        std::fill(part, part + part_elements(), 0.0f);
      },
      [&](int64_t i, int64_t place) { part[place] = values_[i]; });
  write();
}

void SparseValues::take_largest(float* part, const std::function<void(int64_t)>& read,
                                std::byte* scratch) const {
  auto* scores = reinterpret_cast<float*>(scratch);
  auto* units = reinterpret_cast<int32_t*>(scores + active_);
  // Groups lie in a row, and so in a part; without them, all parts share one heap.
  const int64_t size = shape_.group > 1 ? shape_.group : shape_.units();
  const int64_t each_active = active_ / (shape_.units() / size);
  Largest<float> largest(scores, units, each_active);
  for (int64_t unit = 0; unit < shape_.units(); ++unit) {
    const int64_t p = unit / shape_.row;
    if (unit % shape_.row == 0) read(p);
    if (unit % size == 0) {
      const int64_t first = unit / size * each_active;
      largest = Largest<float>(scores + first, units + first, each_active);
    }
    float sum = 0;
    for (int64_t k = 0; k < shape_.block; ++k) {
      sum += std::fabs(part[shape_.position(unit, k) - p * part_elements()]);
    }
    largest.offer(sum, static_cast<int32_t>(unit));
  }
  set_units(units);
  each_by_parts(read, [&](int64_t i, int64_t place) { values_[i] = part[place]; });
}

bool SparseValues::is_valid() const { return SparseIndex(index_, shape_, active_).is_valid(); }

int64_t SparseValues::count_explored(const std::byte* explored) const {
  const auto* bits = reinterpret_cast<const uint8_t*>(explored);
  int64_t count = 0;
  for (int64_t i = 0; i < explored_bytes(shape_); ++i) count += std::popcount(bits[i]);
  SparseIndex(index_, shape_, active_).each([&](int64_t, int64_t unit) {
    count += (bits[unit / 8] >> unit % 8 & 1) == 0;
  });
  return count * shape_.block;
}

}  // namespace thimble
