#include "transforms/masks.h"

#include "ops/core/builder.h"
#include "transforms/core/technique.h"

namespace thimble {

Graph use_masks(const Graph& forward) {
  Graph graph = forward;
  for (Node& node : graph.nodes) {
    if (!node.attributes.has("mask")) continue;
    node.attributes.set("mask", int64_t{1});
    const OpDef& def = find_op(node.op);
    const std::vector<TensorSpec> specs = def.infer(shapes_of(graph, node));
    node.outputs.resize(specs.size(), kNoTensor);
    for (size_t i = 0; i < specs.size(); ++i) {
      if (specs[i].shape.rank() == 0 || node.outputs[i] != kNoTensor) continue;
      Tensor t;
      t.name = str_cat(node.name, ".", def.outputs[i].name);
      t.shape = specs[i].shape;
      t.type = specs[i].type.value_or(type_of_inputs(graph, node));
      node.outputs[i] = graph.add_tensor(std::move(t));
    }
  }
  verify(graph);
  return graph;
}

const Technique& technique_masks() {
  static const Technique technique = {
      .name = "masks",
      .summary = "One bit for each element of what an activation let through, not its output",
      .paper = "In-Place ABN, arXiv 1712.02616",
      .stage = Technique::Stage::forward,
      .promise = [](const Graph&) { return Promise::bit_exact; },
      .free = true,
      .apply =
          [](const Graph& forward, int64_t) {
            return Rewrite{use_masks(forward), ""};
          }};
  return technique;
}

}  // namespace thimble
