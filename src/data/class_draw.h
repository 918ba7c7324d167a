#pragma once

#include <cstdint>
#include <span>

namespace thimble {

// Examples that may stand for each other, and which of them is due.
struct DrawnExample {
  int64_t first = 0;  // of the range
  int64_t count = 0;  // in the range
  int64_t at = 0;     // in [0, count)
};

// Of examples sorted by class: the one at `place` of an epoch in which classes come equally often,
// however many examples they have. Each round of places has every class once, in an order of its
// own; a class shows its examples in turn, shuffled anew whenever it has shown all and in every
// epoch. A formula, not a table. `class_ends`: as ClassSorted::class_ends().
DrawnExample draw_by_class(std::span<const int64_t> class_ends, uint64_t seed, int64_t epoch,
                           int64_t place);

}  // namespace thimble
