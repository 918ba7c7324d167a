#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "base/random.h"

namespace thimble {

// How a test draws element `index` of `count`. Values are rounded to f32 afterwards, so that every
// scalar type starts from the same numbers.
using Draw = std::function<double(const RandomStream& random, int64_t index, int64_t count)>;

Draw uniform(double low, double high);
// Uniform, but no closer than `gap` to any kink.
Draw away_from(std::vector<double> kinks, double gap, double low = -1, double high = 1);
// Uniform integers in [low, high).
Draw integers(int64_t low, int64_t high);
// These values, repeated.
Draw exactly(std::vector<double> values);
// Shuffled multiples of 2/count in [-1, 1): no two are equal or close (max pooling).
Draw distinct();

}  // namespace thimble
