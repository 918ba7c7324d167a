#include "api/channel_norms.h"

#include <set>

#include "api/one_step.h"
#include "autodiff/differentiate.h"
#include "ops/core/builder.h"

namespace thimble {
namespace {

std::string norm_of(const std::string& layer) { return "channel norms before " + layer; }

// Each measured just before its layer, so that no map waits for it.
Graph measuring_graph(const Graph& forward, const std::vector<std::string>& layers) {
  Graph graph = inference_graph(forward);
  const std::set<std::string> wanted(layers.begin(), layers.end());
  std::vector<Node> nodes;
  nodes.swap(graph.nodes);
  for (Node& node : nodes) {
    if (wanted.contains(node.name)) {
      const TensorId norms = append_node(graph, Phase::forward, "channel_norm", norm_of(node.name),
                                         {node.inputs[0]})[0];
      graph.tensor(norms).role = Role::metric;
    }
    graph.nodes.push_back(std::move(node));
  }
  verify(graph);
  return graph;
}

struct Batch {
  std::vector<float> images;
  std::vector<int32_t> labels;
  BatchSlot slot() { return {images.data(), labels.data()}; }
};

}  // namespace

ChannelNorms channel_norms(const Setup& setup, const std::vector<std::string>& layers,
                           int64_t examples) {
  const Graph graph = measuring_graph(setup.request.forward, layers);
  const auto backend = make_backend(setup.options.backend);
  std::vector<NamedLayout> layouts;
  OneStep step(setup, graph, *backend, layouts);
  const Shape& shape = graph.tensor(graph.find("images")).shape;
  const Batch empty = {std::vector<float>(static_cast<size_t>(shape.elements())),
                       std::vector<int32_t>(static_cast<size_t>(shape[0]))};
  std::array<Batch, 2> slots = {empty, empty};
  LoaderOptions options = setup.train_loader;
  options.batch = shape[0];
  options.augment_flip = false;
  options.augment_crop_pad = 0;
  const Arena workspace(BatchLoader::workspace_bytes(*setup.train_data, options));
  BatchLoader loader(*setup.train_data, options, workspace.data(),
                     {slots[0].slot(), slots[1].slot()});
  loader.begin_epoch(0);
  ChannelNorms norms;
  while (norms.examples < examples) {
    const auto loaded = loader.next();
    if (!loaded) break;  // all of the data
    const Batch& batch = slots[static_cast<size_t>(loaded->slot)];
    step.set_batch(batch.images, batch.labels);
    step.run();
    norms.examples += loaded->examples;
    for (const std::string& layer : layers) {
      std::vector<double>& sums = norms.of[layer];
      const auto channels = graph.tensor(graph.find(norm_of(layer))).shape.elements();
      const auto* found = step.at<float>(norm_of(layer));
      sums.resize(static_cast<size_t>(channels));
      for (size_t c = 0; c < sums.size(); ++c)
        sums[c] += found[c] * static_cast<double>(loaded->examples);
    }
  }
  ensure(norms.examples > 0, "the data has no batch");
  for (auto& [layer, sums] : norms.of) {
    for (double& sum : sums) sum /= static_cast<double>(norms.examples);
  }
  return norms;
}

}  // namespace thimble
