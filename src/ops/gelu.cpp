#include <cmath>
#include <numbers>

#include "ops/core/activation.h"

namespace thimble {
namespace {

// x times the normal distribution function (arXiv 1606.08415). C++ has no complex erf.
struct Gelu {
  explicit Gelu(const Attributes& a) : tanh(a.text("approximate") == "tanh") {}

  template <std::floating_point T>
  T operator()(T x) const {
    if (tanh) return T(0.5) * x * (T(1) + std::tanh(inner(x)));
    return x * distribution(x);
  }

  template <std::floating_point T>
  T slope(T x) const {
    if (tanh) {
      const T t = std::tanh(inner(x));
      const T inner_slope = T(kInnerScale) * (T(1) + T(3 * kCubic) * x * x);
      return T(0.5) * (T(1) + t) + T(0.5) * x * (T(1) - t * t) * inner_slope;
    }
    const T density = std::exp(T(-0.5) * x * x) * T(std::numbers::inv_sqrtpi / std::numbers::sqrt2);
    return distribution(x) + x * density;
  }

  template <class T>
  static T distribution(T x) {
    return T(0.5) * (T(1) + std::erf(x * T(1 / std::numbers::sqrt2)));
  }
  template <class T>
  static T inner(T x) {
    return T(kInnerScale) * (x + T(kCubic) * x * x * x);
  }

  static constexpr double kInnerScale = std::numbers::sqrt2 * std::numbers::inv_sqrtpi;
  static constexpr double kCubic = 0.044715;
  bool tanh;
};

}  // namespace

void define_gelu(OpTable& table) {
  define_activation<Gelu>(
      table, {.name = "gelu",
              .summary = "x times the normal distribution function",
              .attributes = {{"approximate", std::string("none"), "none: by erf; tanh: by tanh"}},
              .check = [](const Attributes& a) {
                const std::string& way = a.text("approximate");
                require(way == "none" || way == "tanh",
                        "gelu: approximate must be 'none' or 'tanh', got '", way, "'");
              }});
}

}  // namespace thimble
