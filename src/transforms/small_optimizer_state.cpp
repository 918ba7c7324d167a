#include "transforms/small_optimizer_state.h"

#include "ops/core/op.h"
#include "transforms/core/technique.h"

namespace thimble {
namespace {

// As the paper: what is smaller is not worth its error.
constexpr int64_t kSmallestElements = 4096;

}  // namespace

Graph small_optimizer_state(const Graph& training) {
  Graph graph = training;
  int64_t layer = 0;
  for (Node& node : graph.nodes) {
    if (node.phase != Phase::update || node.inputs.size() <= kOptimizerStateInput) continue;
    ++layer;  // of all, so that leaving one out renames no other
    // The state of a sparse weight moves with its positions, which 8 bits of a block cannot.
    const bool small = op_table().find(node.op + "_small") != nullptr &&
                       graph.tensor(node.inputs[0]).dense.rank() == 0;
    if (!small || graph.tensor(node.inputs[0]).shape.elements() < kSmallestElements) continue;
    node.op += "_small";
    node.attributes.set("layer", layer);
  }
  verify(graph);
  return graph;
}

const Technique& technique_small_optimizer_state() {
  static const Technique technique = {
      .name = "small_optimizer_state",
      .summary = "Momentum or Adam's moments in blocks of 8 bits, rounded at random",
      .paper = "8-bit Optimizers via Block-wise Quantization, arXiv 2110.02861",
      .stage = Technique::Stage::training,
      .allowance = "small-optimizer-state",
      .accepts = "keep the momentum or Adam's moments in 8 bits, rounded at random",
      .promise = [](const Graph&) { return Promise::approximate; },
      .apply = [](const Graph& training, int64_t) -> Rewrite {
        Graph graph = small_optimizer_state(training);
        if (graph == training) {
          return {std::nullopt, "the optimizer keeps no state that is worth it"};
        }
        return {std::move(graph), ""};
      }};
  return technique;
}

}  // namespace thimble
