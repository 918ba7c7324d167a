#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "ops/core/op.h"
#include "support/check_backends.h"
#include "support/check_op.h"
#include "support/interpreter.h"

namespace thimble {

// Three steps of optimizer `op` from zero state, in double: `expected` holds the weights after
// each, as another framework gives them from the same weights and gradients.
inline void expect_optimizer_steps(const std::string& op, const Attributes& attributes, double lr,
                                   const std::vector<std::vector<double>>& expected) {
  const std::vector<double> weights = {0.5, -1.25, 2.0, 0.0};
  const std::vector<std::vector<double>> gradients = {
      {0.1, -0.2, 0.3, 0.0}, {-0.4, 0.25, 0.05, 1.0}, {2.0, -0.125, 0.0, -0.5}};
  const Graph graph = op_graph(
      op, {.inputs = {constant({4}), constant({4}), constant({1})}, .attributes = attributes});
  Interpreter<double> interpreter(graph);
  for (size_t t = 0; t < graph.tensors.size(); ++t) {
    const bool state = graph.tensors[t].role == Role::optimizer;
    if (state) interpreter.set(static_cast<TensorId>(t), std::vector<double>(weights.size()));
  }
  interpreter.set(graph.find("in0"), weights);
  interpreter.set(graph.find("in2"), {lr});
  ASSERT_EQ(expected.size(), gradients.size());
  for (size_t step = 0; step < gradients.size(); ++step) {
    interpreter.set(graph.find("counter"), {static_cast<double>(step), 0, 0, 0});
    interpreter.set(graph.find("in1"), gradients[step]);
    interpreter.run();
    expect_near(interpreter.get(graph.find("in0")), expected[step], 1e-14, str_cat("step ", step));
  }
}

}  // namespace thimble
