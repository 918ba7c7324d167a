#include "ops/core/activation.h"

namespace thimble {
namespace {

// x * min(max(x + 3, 0), 6) / 6 (arXiv 1905.02244).
struct HardSwish {
  explicit HardSwish(const Attributes&) {}
  template <class T>
  T operator()(T x) const {
    if (branch_value(x) <= -3) return T(0);
    return branch_value(x) < 3 ? x * (x + T(3)) / T(6) : x;
  }
  template <class T>
  T slope(T src) const {
    if (branch_value(src) <= -3) return T(0);
    return branch_value(src) < 3 ? (T(2) * src + T(3)) / T(6) : T(1);
  }
};

}  // namespace

void define_hard_swish(OpTable& table) {
  define_activation<HardSwish>(table, {.name = "hard_swish", .summary = "x * relu6(x + 3) / 6"});
}

}  // namespace thimble
