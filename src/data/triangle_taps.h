#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace thimble {

// The source pixels that one target pixel sees along one side of a bilinear, antialiased resize,
// and their weights: a triangle two source pixels wide, or two target pixels when shrinking. The
// weights are worked out when needed, since a table of them grows with the picture.
struct TriangleTaps {
  int64_t first = 0;  // source pixel
  int64_t last = 0;   // half-open: [first, last)
  float start = 0;    // distance of `first` from the middle, in halves of the triangle
  float step = 1;     // the same from one source pixel to the next
  float scale = 1;    // makes the weights' sum 1

  // `pixel` counts in a side of `resized` pixels, made from `source` pixels.
  TriangleTaps(int64_t pixel, int64_t source, int64_t resized) {
    const double shrink = static_cast<double>(source) / static_cast<double>(resized);
    const double half = std::max(1.0, shrink);
    const double middle = (static_cast<double>(pixel) + 0.5) * shrink;
    first = std::max(int64_t{0}, static_cast<int64_t>(std::floor(middle - half + 0.5)));
    last = std::min(source, static_cast<int64_t>(std::floor(middle + half + 0.5)));
    start = static_cast<float>((static_cast<double>(first) + 0.5 - middle) / half);
    step = static_cast<float>(1 / half);
    double sum = 0;
    for (int64_t x = first; x < last; ++x) sum += static_cast<double>(weight(x));
    scale = static_cast<float>(1 / sum);
  }

  // The weight of source pixel `x` in [first, last).
  float weight(int64_t x) const {
    const float distance = std::abs(start + static_cast<float>(x - first) * step);
    return distance < 1 ? (1 - distance) * scale : 0;
  }
};

}  // namespace thimble
