#include <cmath>

#include "ops/core/activation.h"

namespace thimble {
namespace {

struct Sigmoid {
  explicit Sigmoid(const Attributes&) {}
  template <class T>
  T operator()(T x) const {
    return T(1) / (T(1) + std::exp(-x));
  }
  template <class T>
  T slope(T dst) const {
    return dst * (T(1) - dst);
  }
};

}  // namespace

void define_sigmoid(OpTable& table) {
  define_activation<Sigmoid>(table, {.name = "sigmoid",
                                     .summary = "1 / (1 + exp(-x))",
                                     .saves_output = true,
                                     .keeps_zero = false});
}

}  // namespace thimble
