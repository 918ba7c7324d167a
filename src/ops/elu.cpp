#include <cmath>
#include <concepts>

#include "ops/core/activation.h"

namespace thimble {
namespace {

// The exponential linear unit (arXiv 1511.07289).
struct Elu {
  explicit Elu(const Attributes& a) : alpha(a.real("alpha")) {}
  template <class T>
  T operator()(T x) const {
    return branch_value(x) > 0 ? x : T(alpha) * exp_minus_one(x);
  }
  // alpha * exp(x) is the output plus alpha; the output has the sign of x because alpha is
  // positive.
  template <class T>
  T slope(T dst) const {
    return branch_value(dst) > 0 ? T(1) : dst + T(alpha);
  }

  template <class T>
  static T exp_minus_one(T x) {
    if constexpr (std::floating_point<T>) {
      return std::expm1(x);
    } else {
      return std::exp(x) - T(1);  // C++ has no complex expm1
    }
  }

  double alpha;
};

}  // namespace

void define_elu(OpTable& table) {
  define_activation<Elu>(
      table, {.name = "elu",
              .summary = "x above zero, alpha * (exp(x) - 1) below",
              .attributes = {{"alpha", 1.0, "minus the limit far below zero, positive"}},
              .saves_output = true,
              .check = [](const Attributes& a) {
                require(a.real("alpha") > 0, "elu: alpha must be positive, got ", a.real("alpha"),
                        "; use relu for 0");
              }});
}

}  // namespace thimble
