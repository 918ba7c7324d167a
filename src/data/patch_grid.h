#pragma once

#include <algorithm>
#include <cstdint>

#include "base/shape.h"

namespace thimble {

// Where the patches of a picture lie: in rows from the top left corner, a step apart, the last of a
// row or column moved back to the picture's edge, so that every pixel is in one.
struct PatchGrid {
  Shape picture;     // (C, H, W)
  Shape patch;       // (C, h, w), no larger
  int64_t step = 0;  // pixels from one patch to the next; 0: no overlap

  // Throws UserError where patches do not fit.
  void check() const;

  int64_t down() const { return along(1); }
  int64_t across() const { return along(2); }
  int64_t count() const { return down() * across(); }

  // Copies patch `index` in [0, count()) out of `src` (C, H, W) to `dst` (C, h, w).
  void cut(const float* src, int64_t index, float* dst) const;

 private:
  int64_t step_along(int axis) const { return step > 0 ? step : patch[axis]; }
  int64_t along(int axis) const {
    const int64_t step_px = step_along(axis);
    return (picture[axis] - patch[axis] + step_px - 1) / step_px + 1;
  }
  int64_t place(int axis, int64_t number) const {
    return std::min(number * step_along(axis), picture[axis] - patch[axis]);
  }
};

}  // namespace thimble
