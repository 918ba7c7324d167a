#include "ops/core/activation.h"

namespace thimble {
namespace {

// min(max(alpha * x + beta, 0), 1); its usual alpha is that of MobileNetV3 (arXiv 1905.02244), not
// ONNX's 0.2.
struct HardSigmoid {
  double alpha, beta;
  explicit HardSigmoid(const Attributes& a) : alpha(a.real("alpha")), beta(a.real("beta")) {}
  template <class T>
  T operator()(T x) const {
    const T y = T(alpha) * x + T(beta);
    if (branch_value(y) <= 0) return T(0);
    return branch_value(y) < 1 ? y : T(1);
  }
  template <class T>
  T slope(T dst) const {
    return branch_value(dst) > 0 && branch_value(dst) < 1 ? T(alpha) : T(0);
  }
};

}  // namespace

void define_hard_sigmoid(OpTable& table) {
  define_activation<HardSigmoid>(
      table, {.name = "hard_sigmoid",
              .summary = "min(max(alpha * x + beta, 0), 1)",
              .attributes = {{"alpha", 1.0 / 6, "the slope"}, {"beta", 0.5, "the value at zero"}},
              .saves_output = true,
              .keeps_zero = false});
}

}  // namespace thimble
