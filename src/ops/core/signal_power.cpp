#include "ops/core/signal_power.h"

#include <numeric>

namespace thimble {
namespace {

double variance_of(const Init& init) {
  switch (init.kind) {
    case Init::Kind::normal:
      return init.value * init.value;
    case Init::Kind::uniform:
      return init.value * init.value / 3;
    default:
      return 0;
  }
}

}  // namespace

double power_behind_weights(const Graph& graph, const Node& node, const std::vector<double>& in) {
  const Tensor& weights = graph.tensor(node.inputs[1]);
  const int64_t fan_in = weights.shape.elements() / weights.shape[0];
  return in[0] * variance_of(weights.init) * static_cast<double>(fan_in);
}

double power_behind_norm(const Graph&, const Node& node, const std::vector<double>& in) {
  const Attributes& a = node.attributes;
  const bool batch_norm = a.has("scale_floor");
  const double scale = 1 + (batch_norm ? a.real("scale_floor") : 0);
  // Frozen statistics begin as mean 0 and variance 1.
  const bool frozen = batch_norm && a.integer("training") == 0;
  const double addend = node.inputs[1] == kNoTensor ? 0 : in[1];
  const std::string& activation = a.text("activation");
  const double slope = activation == "none" ? 1 : activation == "leaky_relu" ? a.real("slope") : 0;
  return (scale * scale * (frozen ? in[0] : 1) + addend) * power_passed(slope);
}

double power_of_sum(const Graph&, const Node&, const std::vector<double>& in) {
  return std::accumulate(in.begin(), in.end(), 0.0);
}

double power_passed(double slope) { return (1 + slope * slope) / 2; }

}  // namespace thimble
