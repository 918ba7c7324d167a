#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/random.h"
#include "models/written_network.h"

namespace thimble {

// Values by parameter.
using Weights = std::map<std::string, std::vector<float>>;

inline Weights drawn(const Network& network) {
  Weights weights;
  uint64_t stream = 1;
  for (const NetworkParameter& p : network.parameters) {
    const RandomStream random(7, ++stream);
    std::vector<float>& values = weights[p.name];
    for (int64_t i = 0; i < p.shape.elements(); ++i) {
      const double value = 0.5 * random.normal(static_cast<uint64_t>(i));
      values.push_back(
          static_cast<float>(p.name.ends_with("running_var") ? 1 + value * value : value));
    }
  }
  return weights;
}

// A stem, a separable block "a", an inverted residual "b" and a bottleneck "c".
inline Network hidden_network(const Shape& image) {
  WrittenNetwork w("small", image);
  std::string x = w.conv_norm_act("stem", w.network.input, 6, 3, 2);
  x = w.conv_norm_act("a.depthwise", x, 6, 3, 1, 6);
  x = w.conv_norm("a.project", x, 4);
  std::string y = w.conv_norm_act("b.expand", x, 8);
  y = w.conv_norm_act("b.depthwise", y, 8, 3, 1, 8);
  x = w.plain("add", "b.add", {w.conv_norm("b.project", y, 4), x});
  y = w.conv_norm_act("c.1", x, 5);
  y = w.conv_norm_act("c.2", y, 7, 3);
  x = w.plain("add", "c.add", {w.conv_norm("c.3", y, 4), x});
  w.classify(x, 10);
  return w.network;
}

}  // namespace thimble
