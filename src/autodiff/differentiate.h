#pragma once

#include "graph/graph.h"

namespace thimble {

// Appends the backward pass of `loss` (one value, the last forward result) to a forward graph:
// reverse mode, one gradient for every trainable weight that the loss depends on. Gradients that
// no trainable weight needs are not computed. The returned `diffs[t]` is the gradient of tensor t
// (kNoTensor where none was needed); of a weight that is trained in part, the part's.
struct Differentiated {
  Graph graph;
  std::vector<TensorId> diffs;
};
Differentiated differentiate(const Graph& forward, TensorId loss);

// The same for a weighted sum of outputs: `seeds[k]` is the gradient of `outputs[k]`, a data
// tensor of the graph (tests), and gradients are wanted for the tensors `wanted` too.
Differentiated differentiate(const Graph& forward, const std::vector<TensorId>& outputs,
                             const std::vector<TensorId>& seeds,
                             const std::vector<TensorId>& wanted);

// How weights move.
struct OptimizerSpec {
  std::string op = "sgd";  // an op that updates weights
  Attributes attributes;   // its settings; defaults where absent
  friend bool operator==(const OptimizerSpec&, const OptimizerSpec&) = default;
};

// Appends one update node per trainable weight that has a gradient. The learning rate is the data
// tensor "lr"; optimizer state is called `optimizer.<state>.<weight>`. Of a weight that is trained
// in part, a copy of the part is updated and written back; state has the part's size.
Graph add_optimizer(Differentiated differentiated, const OptimizerSpec& optimizer);

// The forward graph for evaluation: running statistics instead of the batch's, no dropout, no class
// weights.
Graph inference_graph(const Graph& forward);

}  // namespace thimble
