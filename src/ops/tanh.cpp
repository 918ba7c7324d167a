#include <cmath>

#include "ops/core/activation.h"

namespace thimble {
namespace {

struct Tanh {
  explicit Tanh(const Attributes&) {}
  template <class T>
  T operator()(T x) const {
    return std::tanh(x);
  }
  template <class T>
  T slope(T dst) const {
    return T(1) - dst * dst;
  }
};

}  // namespace

void define_tanh(OpTable& table) {
  define_activation<Tanh>(table,
                          {.name = "tanh", .summary = "hyperbolic tangent", .saves_output = true});
}

}  // namespace thimble
