#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "ops/core/op.h"
#include "ops/core/sums.h"

namespace thimble {

template <class T>
void copy_elements(const T* src, T* dst, int64_t count) {
  if (src == dst) return;
  parallel_for(count, kParallelGrain,
               [&](int64_t begin, int64_t end) { std::copy(src + begin, src + end, dst + begin); });
}

// Copies `rows` rows of `length` elements between tensors whose rows lie `src_stride` and
// `dst_stride` apart. A null `src` stands for zeros.
template <class T>
void copy_rows(const T* src, int64_t src_stride, T* dst, int64_t dst_stride, int64_t rows,
               int64_t length) {
  parallel_for(rows, grain_of(length), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      T* out = dst + r * dst_stride;
      if (src != nullptr) {
        std::copy(src + r * src_stride, src + r * src_stride + length, out);
      } else {
        std::fill(out, out + length, T(0));
      }
    }
  });
}

// A tensor seen along one axis: (outer, size, inner).
struct AxisView {
  int64_t outer = 1;
  int64_t size = 1;
  int64_t inner = 1;

  AxisView(const Shape& shape, int64_t axis) : size(shape[static_cast<int>(axis)]) {
    for (int i = 0; i < shape.rank(); ++i) (i < axis ? outer : inner) *= i == axis ? 1 : shape[i];
  }
};

inline void require_axis(const std::string& op, const Shape& shape, int64_t axis) {
  require(axis >= 0 && axis < shape.rank(), op, ": axis ", axis, " is not one of the ",
          shape.rank(), " axes of ", shape);
}

inline Shape with_axis_size(Shape shape, int64_t axis, int64_t size) {
  shape[static_cast<int>(axis)] = size;
  return shape;
}

// Channels may be joined and cut pixel by pixel; other axes may not.
inline Spatial spatial_along_axis(const Attributes& a) {
  Spatial spatial;
  if (a.integer("axis") == 1) spatial.kind = Spatial::Kind::pointwise;
  return spatial;
}

inline int64_t no_flops(const OpShapes&) { return 0; }

}  // namespace thimble
