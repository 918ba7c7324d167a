#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>
#include <limits>

#include "base/random.h"
#include "ops/core/kernel.h"
#include "ops/core/sparse.h"

// When and how the positions of a sparse weight change: every so many steps, a falling share of its
// active units is dropped, those of the smallest magnitude, and as many others grow, from zero. The
// share falls by a cosine, as in RigL (arXiv 1911.11134, section 3).

namespace thimble {

// The attributes of ops that take part.
inline std::vector<AttributeSpec> changing_attributes(int64_t usual_block = 1) {
  std::vector<AttributeSpec> specs = sparse_attributes(usual_block);
  specs.push_back({"every", int64_t{100}, "steps between changes"});
  specs.push_back({"until", int64_t{0}, "from this step on nothing changes; 0: there is none"});
  specs.push_back({"drop", 0.3, "share of the active units that the first change replaces"});
  return specs;
}

// The most that one change replaces: in groups (N:M), one of each, so that N stays.
inline int64_t most_replaced(const Attributes& a, int64_t active) {
  const SparseShape shape = sparse_shape(a);
  const auto share = static_cast<int64_t>(a.real("drop") * static_cast<double>(active));
  return std::min({share, shape.units() - active, shape.group > 1 ? shape.groups() : share});
}

// Units that the change in this step replaces; 0 where there is none.
inline int64_t replaced_in(const Attributes& a, int64_t active, int64_t step) {
  const int64_t until = a.integer("until");
  if (step <= 0 || step % a.integer("every") != 0 || (until > 0 && step >= until)) return 0;
  constexpr double kPi = 3.14159265358979323846;
  const double done = until > 0 ? static_cast<double>(step) / static_cast<double>(until) : 0;
  const double share = (1 + std::cos(kPi * done)) / 2;
  return static_cast<int64_t>(share * static_cast<double>(most_replaced(a, active)));
}

// Keeps the largest of what it is offered, in memory that it is given.
template <class T>
class Largest {
 public:
  Largest(T* scores, int32_t* units, int64_t room) : scores_(scores), units_(units), room_(room) {}

  void offer(T score, int32_t unit) {
    if (count_ < room_) {
      scores_[count_] = score;
      units_[count_] = unit;
      if (++count_ == room_) {
        for (int64_t i = room_ / 2; i-- > 0;) sink(i);
      }
      return;
    }
    // Of equal ones the first stays.
    if (room_ == 0 || !(score > scores_[0])) return;
    scores_[0] = score;
    units_[0] = unit;
    sink(0);
  }

 private:
  // The least of all is on top; of equal ones, that of the highest number.
  bool above(int64_t a, int64_t b) const {
    return scores_[a] < scores_[b] || (scores_[a] == scores_[b] && units_[a] > units_[b]);
  }
  void sink(int64_t i) {
    for (int64_t child; (child = 2 * i + 1) < count_; i = child) {
      if (child + 1 < count_ && above(child + 1, child)) ++child;
      if (!above(child, i)) return;
      std::swap(scores_[i], scores_[child]);
      std::swap(units_[i], units_[child]);
    }
  }

  T* scores_;
  int32_t* units_;
  int64_t room_;
  int64_t count_ = 0;
};

// Offers `largest` the best of each `group` neighbours, where they come in order; 1: all of them.
template <class T>
class BestOfGroups {
 public:
  BestOfGroups(Largest<T>& largest, int64_t group) : largest_(largest), group_(group) {}

  void offer(T score, int64_t number) {
    if (number >= end_) {
      finish();
      end_ = (number / group_ + 1) * group_;
    } else if (!(score > score_)) {
      return;
    }
    score_ = score;
    number_ = number;
  }
  void finish() {
    if (number_ >= 0) largest_.offer(score_, static_cast<int32_t>(number_));
    number_ = -1;
  }

 private:
  Largest<T>& largest_;
  int64_t group_, end_ = 0, number_ = -1;
  T score_ = T(0);
};

// The inactive units of the largest gradient, into `units`, `count` of them in no order; a unit's
// gradient is the sum of the magnitudes `diff(unit, k)` of its positions. Goes through the weight
// tile by tile; `scores` has room for `count`.
template <class T, class Diff>
void find_candidates(const SparseShape& shape, const SparseIndex& index, int64_t count, T* scores,
                     int32_t* units, const Diff& diff) {
  Largest<T> largest(scores, units, count);
  BestOfGroups<T> best(largest, shape.group);
  for (int64_t tile = 0; tile < index.tiles; ++tile) {
    const int64_t end = std::min((tile + 1) * kTileUnits, shape.units());
    int64_t unit = tile * kTileUnits;
    const auto offer_up_to = [&](int64_t last) {
      for (; unit < last; ++unit) {
        T sum(0);
        for (int64_t k = 0; k < shape.block; ++k) sum += std::fabs(diff(unit, k));
        best.offer(sum == sum ? sum : T(0), unit);
      }
    };
    index.each_of_tile(tile, [&](int64_t, int64_t active) {
      offer_up_to(active);
      unit = active + 1;
    });
    offer_up_to(end);
  }
  best.finish();
}

// The active units of the least importance, as numbers of their values, into `numbers`, `count` of
// them in no order; a unit's importance is the sum of `importance(i)` over its values. `scores` has
// room for `count`.
template <class T, class Importance>
void find_least(const SparseShape& shape, int64_t active, int64_t count, T* scores,
                int32_t* numbers, const Importance& importance) {
  Largest<T> largest(scores, numbers, count);
  BestOfGroups<T> best(largest, shape.group > 1 ? active / shape.groups() : 1);
  for (int64_t i = 0; i < active; ++i) {
    T sum(0);
    for (int64_t k = 0; k < shape.block; ++k) sum += importance(i * shape.block + k);
    best.offer(sum == sum ? -sum : -std::numeric_limits<T>::infinity(), i);
  }
  best.finish();
}

}  // namespace thimble
