#include "ops/core/as_evaluated.h"

#include "ops/core/op.h"

namespace thimble {

void as_evaluated(const Graph& graph, Node& node) {
  if (node.attributes.has("training")) node.attributes.set("training", int64_t{0});
  const OpDef& def = find_op(node.op);
  const OpShapes shapes = shapes_of(graph, node);
  const std::vector<TensorSpec> specs = def.infer(shapes);
  for (size_t i = 0; i < specs.size(); ++i) {
    if (specs[i].shape.rank() == 0) node.outputs[i] = kNoTensor;
  }
  node.updates.clear();
  if (!def.updates) return;
  for (size_t i : def.updates(shapes)) node.updates.push_back(node.inputs[i]);
}

}  // namespace thimble
