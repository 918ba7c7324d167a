#include "ops/core/activation.h"
#include "ops/core/signal_loss.h"
#include "ops/core/signal_power.h"

namespace thimble {
namespace {

struct LeakyRelu {
  explicit LeakyRelu(const Attributes& a) : alpha(a.real("alpha")) {}
  template <class T>
  T operator()(T x) const {
    return branch_value(x) > 0 ? x : T(alpha) * x;
  }
  // The output has the sign of the input because alpha is positive.
  template <class T>
  T slope(T dst) const {
    return branch_value(dst) > 0 ? T(1) : T(alpha);
  }

  double alpha;
};

// Its inverse has the inverse slope.
Inverse inverted(const Graph&, const Node& node, size_t) {
  Node again = node;
  again.inputs = node.outputs;
  again.attributes.set("alpha", 1 / node.attributes.real("alpha"));
  return {std::move(again), "", leaky_loss_db(node.attributes.real("alpha")), true};
}

double power_passed_by(const Graph&, const Node& node, const std::vector<double>& in) {
  return in[0] * power_passed(node.attributes.real("alpha"));
}

}  // namespace

void define_leaky_relu(OpTable& table) {
  define_activation<LeakyRelu>(
      table, {.name = "leaky_relu",
              .summary = "x above zero, alpha * x below",
              .attributes = {{"alpha", 0.01, "the slope below zero, positive"}},
              .saves_output = true,
              .inverse = inverted,
              .power = power_passed_by,
              .check = [](const Attributes& a) {
                require(a.real("alpha") > 0, "leaky_relu: alpha must be positive, got ",
                        a.real("alpha"), "; use relu for 0");
              }});
}

}  // namespace thimble
