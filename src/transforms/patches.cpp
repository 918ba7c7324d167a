#include "transforms/patches.h"

#include <algorithm>

#include "ops/core/builder.h"
#include "transforms/core/technique.h"
#include "transforms/microbatch.h"

namespace thimble {
namespace {

// Two passes see the same numbers only where nothing depends on training or on the other patches.
void check_two_passes(const Graph& forward) {
  for (const Node& node : forward.nodes) {
    const bool differs =
        node.attributes.has("training") && node.attributes.integer("training") != 0;
    require(!differs,
            "the loss on the mean of patches needs a network that computes in training "
            "what it computes in evaluation, but layer ",
            node.name, " (", node.op,
            ") does not; use --norm group or --norm frozen and no dropout, or --patch-loss each");
  }
}

}  // namespace

Graph with_patches(const Graph& forward, int64_t patches, bool mean) {
  const int64_t batch = batch_of(forward);
  require(patches > 0 && batch % patches == 0, "a batch of ", batch,
          " patches does not hold whole pictures of ", patches);
  if (mean) check_two_passes(forward);
  Graph graph = forward;
  const TensorId logits = graph.find("logits");
  ensure(logits != kNoTensor, forward.name, " has no logits");
  const auto reader = std::find_if(graph.nodes.begin(), graph.nodes.end(), [&](const Node& n) {
    return std::find(n.inputs.begin(), n.inputs.end(), logits) != n.inputs.end();
  });
  ensure(reader != graph.nodes.end(), forward.name, " has no loss");
  std::vector<Node> loss(reader, graph.nodes.end());
  graph.nodes.erase(reader, graph.nodes.end());
  const TensorId sums = graph.add_tensor({kPatchSums,
                                          {batch / patches, graph.tensor(logits).shape[1]},
                                          ElementType::f32,
                                          Role::data,
                                          {},
                                          false});
  const TensorId joined =
      append_node(graph, Phase::forward, "picture_mean", "picture_mean", {logits, sums},
                  {{"patches", patches}, {"mean", int64_t{mean}}})[0];
  for (Node& node : loss) {
    std::replace(node.inputs.begin(), node.inputs.end(), logits, joined);
    graph.nodes.push_back(std::move(node));
  }
  verify(graph);
  return graph;
}

const Technique& technique_patches() {
  static const Technique technique = {
      .name = "patches",
      .summary =
          "Pictures are cut into patches, and the mean of their logits answers "
          "(--patches-of)",
      .paper = "",
      .promise = [](const Graph&) { return Promise::approximate; }};
  return technique;
}

}  // namespace thimble
