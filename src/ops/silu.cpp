#include <cmath>

#include "ops/core/activation.h"

namespace thimble {
namespace {

template <class T>
T sigmoid(T x) {
  return T(1) / (T(1) + std::exp(-x));
}

struct Silu {
  explicit Silu(const Attributes&) {}
  template <class T>
  T operator()(T x) const {
    return x * sigmoid(x);
  }
  template <class T>
  T slope(T src) const {
    const T s = sigmoid(src);
    return s * (T(1) + src * (T(1) - s));
  }
};

}  // namespace

void define_silu(OpTable& table) {
  // ONNX writes it as Mul(x, Sigmoid(x)).
  define_activation<Silu>(table, {.name = "silu", .summary = "x * sigmoid(x), also called swish"});
}

}  // namespace thimble
