#pragma once

#include "autodiff/differentiate.h"
#include "support/draw.h"
#include "support/interpreter.h"

namespace thimble {

// A forward graph with values for all that it reads, and what is differentiated: the sum of each
// output times its seed (times one where there is no seed).
struct Experiment {
  Graph graph;
  Values values;
  std::vector<TensorId> outputs;  // one entry for each seed
  std::vector<TensorId> seeds;
  std::vector<TensorId> wanted;
};

std::vector<double> draw_values(const Graph& graph, TensorId id, const Draw& draw, uint64_t seed);

// Adds a seed tensor for an output. Values are drawn later.
void add_seed(Experiment& e, TensorId output);

Differentiated differentiate(const Experiment& e, const std::vector<TensorId>& wanted);

// The gradients of `wanted` as backward computes them in double; zeros where it computes none.
Values gradients(const Experiment& e, const std::vector<TensorId>& wanted);

// The same without backward. Imag(f(x + ih)) / h subtracts no close numbers; where an op is not
// analytic, (f(x + h) - f(x - h)) / 2h.
std::vector<double> complex_step(const Experiment& e, TensorId t);
std::vector<double> central_difference(const Experiment& e, TensorId t);

}  // namespace thimble
