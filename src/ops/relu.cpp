#include "ops/core/activation.h"
#include "ops/core/signal_power.h"

namespace thimble {
namespace {

struct Relu {
  explicit Relu(const Attributes&) {}
  template <class T>
  T operator()(T x) const {
    return branch_value(x) > 0 ? x : T(0);
  }
  template <class T>
  T slope(T dst) const {
    return branch_value(dst) > 0 ? T(1) : T(0);
  }
};

}  // namespace

void define_relu(OpTable& table) {
  define_activation<Relu>(table,
                          {.name = "relu",
                           .summary = "max(x, 0)",
                           .saves_output = true,
                           .power = [](const Graph&, const Node&, const std::vector<double>& in) {
                             return in[0] * power_passed(0);
                           }});
}

}  // namespace thimble
