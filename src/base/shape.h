#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <initializer_list>
#include <ostream>

#include "base/error.h"

namespace thimble {

// The sizes of a tensor's dimensions, outermost first: images are (N, C, H, W). Held inline, so
// that passing a shape never allocates.
class Shape {
 public:
  static constexpr int kMaxRank = 6;

  Shape() = default;
  Shape(std::initializer_list<int64_t> dims) {
    for (int64_t d : dims) push_back(d);
  }

  int rank() const { return rank_; }
  int64_t operator[](int i) const { return dims_[static_cast<size_t>(i)]; }
  int64_t& operator[](int i) { return dims_[static_cast<size_t>(i)]; }
  const int64_t* begin() const { return dims_.data(); }
  const int64_t* end() const { return dims_.data() + rank_; }

  void push_back(int64_t dim) {
    ensure(rank_ < kMaxRank, "a shape has at most ", kMaxRank, " dimensions");
    dims_[static_cast<size_t>(rank_++)] = dim;
  }

  // The number of elements; 1 for a scalar (rank 0). UserError when there are more than
  // kMaxElements: sums of bytes and operations over a whole network then stay inside int64.
  static constexpr int64_t kMaxElements = int64_t{1} << 38;
  int64_t elements() const {
    int64_t n = 1;
    for (int64_t d : *this) {
      const bool fits = d >= 0 && (d == 0 || n <= kMaxElements / d);
      require(fits, "a tensor of shape ", *this, " is too large; at most 2^38 elements");
      n *= d;
    }
    return n;
  }

  friend bool operator==(const Shape& a, const Shape& b) {
    return a.rank_ == b.rank_ && std::equal(a.begin(), a.end(), b.begin());
  }
  friend bool operator!=(const Shape& a, const Shape& b) { return !(a == b); }
  friend std::ostream& operator<<(std::ostream& out, const Shape& s) {
    out << '(';
    for (int i = 0; i < s.rank(); ++i) out << (i ? ", " : "") << s[i];
    return out << ')';
  }

 private:
  std::array<int64_t, kMaxRank> dims_ = {};
  int rank_ = 0;
};

}  // namespace thimble
