#include "runtime/sparse_values.h"

#include <algorithm>

#include "base/random.h"
#include "ops/core/drop_grow.h"

namespace thimble {

SparseValues::SparseValues(const Buffer& buffer, std::byte* values, std::byte* index)
    : shape_(buffer.dense, buffer.block),
      elements_(buffer.dense.elements()),
      active_(buffer.shape.elements() / buffer.block),
      values_(reinterpret_cast<float*>(values)),
      index_(reinterpret_cast<uint8_t*>(index)) {}

void SparseValues::set_units(int32_t* units) const {
  std::sort(units, units + active_);
  const MutableSparseIndex index(index_, shape_.units(), active_);
  index.write([&] { return int64_t{*units++}; });
}

void SparseValues::draw_positions(uint64_t seed, uint64_t stream, std::byte* scratch) const {
  auto* units = reinterpret_cast<int32_t*>(scratch);
  const Permutation permutation(shape_.units(), seed, stream);
  for (int64_t i = 0; i < active_; ++i) units[i] = static_cast<int32_t>(permutation.permuted(i));
  set_units(units);
}

void SparseValues::write_dense(float* dense) const {
  std::fill(dense, dense + elements_, 0.0f);
  each([&](int64_t i, int64_t position) { dense[position] = values_[i]; });
}

void SparseValues::take_largest(const float* dense, std::byte* scratch) const {
  auto* scores = reinterpret_cast<float*>(scratch);
  auto* units = reinterpret_cast<int32_t*>(scores + active_);
  Largest<float> largest(scores, units, active_);
  for (int64_t unit = 0; unit < shape_.units(); ++unit) {
    float sum = 0;
    for (int64_t k = 0; k < shape_.block; ++k) sum += std::fabs(dense[shape_.position(unit, k)]);
    largest.offer(sum, static_cast<int32_t>(unit));
  }
  set_units(units);
  each([&](int64_t i, int64_t position) { values_[i] = dense[position]; });
}

bool SparseValues::is_valid() const {
  return SparseIndex(index_, shape_.units(), active_).is_valid(shape_.units());
}

}  // namespace thimble
