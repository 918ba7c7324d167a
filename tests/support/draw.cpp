#include "support/draw.h"

#include <algorithm>
#include <cmath>

namespace thimble {

Draw uniform(double low, double high) {
  return [=](const RandomStream& random, int64_t index, int64_t) {
    return low + (high - low) * random.uniform(static_cast<uint64_t>(index));
  };
}

Draw away_from(std::vector<double> kinks, double gap, double low, double high) {
  return [=](const RandomStream& random, int64_t index, int64_t) {
    for (uint64_t attempt = 0;; ++attempt) {
      const double x =
          low + (high - low) * random.uniform(static_cast<uint64_t>(index) + (attempt << 32));
      const bool near = std::any_of(kinks.begin(), kinks.end(),
                                    [&](double kink) { return std::abs(x - kink) < gap; });
      if (!near) return x;
    }
  };
}

Draw integers(int64_t low, int64_t high) {
  return [=](const RandomStream& random, int64_t index, int64_t) {
    return static_cast<double>(low + random.below(static_cast<uint64_t>(index), high - low));
  };
}

Draw exactly(std::vector<double> values) {
  return [=](const RandomStream&, int64_t index, int64_t) {
    return values[static_cast<size_t>(index) % values.size()];
  };
}

Draw distinct() {
  return [](const RandomStream& random, int64_t index, int64_t count) {
    const int64_t place = Permutation(count, random.bits(0), 0).permuted(index);
    return 2 * static_cast<double>(place) / static_cast<double>(count) - 1;
  };
}

}  // namespace thimble
