#pragma once

#include <vector>

#include "ops/core/copy.h"
#include "ops/core/gradient.h"

namespace thimble {

// The same elements in the same order under another shape: nothing to do in place.
struct ReshapeKernel {
  template <class T>
  static void run(const OpCall& call) {
    copy_elements(call.in<T>(0), call.out<T>(0), call.outputs[0].elements);
  }
};

inline Inverse inverted_reshape(const Graph& graph, const Node& node, size_t) {
  const Shape& before = graph.tensor(node.inputs[0]).shape;
  std::vector<int64_t> shape(before.begin(), before.end());
  shape[0] = -1;
  Node again = node;
  again.op = "reshape";
  again.inputs = node.outputs;
  again.attributes = {{"shape", shape}};
  return {std::move(again)};
}

// The batch size stays open in the backward node, so that it holds for any microbatch.
inline void reshape_gradient(GradientBuilder& g) {
  std::vector<int64_t> shape(g.input_shape(0).begin(), g.input_shape(0).end());
  shape[0] = -1;
  g.set_diff_input(0, g.emit("reshape", {g.diff_output()}, {{"shape", shape}})[0]);
}

}  // namespace thimble
