#pragma once

#include <gtest/gtest.h>

#include <string>

#include "graph/graph.h"
#include "models/model.h"
#include "support/sanitizers.h"

namespace thimble {

// All models; under sanitizers, which would need minutes for hundreds of layers, the shallow ones.
inline std::vector<const Model*> zoo() {
  std::vector<const Model*> all = models();
  if (kSanitized) {
    std::erase_if(all, [](const Model* m) {
      return m->name != "lenet" && m->name != "mobilenet_v1_patch" && m->name != "resnet18_cifar";
    });
  }
  return all;
}

// The number of trained scalars of a model.
inline int64_t parameters(const std::string& model, const ModelOptions& options = {}) {
  return trainable_parameters(build_model(model, options));
}

// The shape of a layer's output; rank 0 when there is no such layer.
inline Shape layer_shape(const Graph& graph, const std::string& layer) {
  const TensorId t = graph.find(layer);
  EXPECT_NE(t, kNoTensor) << graph.name << " has no tensor " << layer;
  return t == kNoTensor ? Shape{} : graph.tensor(t).shape;
}

inline int64_t count_ops(const Graph& graph, const std::string& op) {
  int64_t count = 0;
  for (const Node& node : graph.nodes) count += node.op == op;
  return count;
}

// Holds for every model, with every norm, at the given image side: the graph verifies, no name was
// made unique by a suffix, and it ends in a classifier of the right shape.
inline void check_zoo_model(const std::string& name, int64_t side) {
  for (const char* norm : {"batch", "frozen", "group"}) {
    SCOPED_TRACE(name + " with norm " + norm);
    ModelOptions o;
    o.batch = 2;
    o.channels = 1;
    o.height = side;
    o.classes = 5;
    o.norm = norm;
    const Graph graph = build_model(name, o);
    verify(graph);
    EXPECT_EQ(graph, build_model(name, o));
    EXPECT_EQ(graph.name, name);
    for (const Tensor& t : graph.tensors) EXPECT_EQ(t.name.find('#'), std::string::npos) << t.name;
    EXPECT_EQ(layer_shape(graph, "images"), (Shape{2, 1, side, side}));
    EXPECT_EQ(layer_shape(graph, "labels"), (Shape{2}));
    EXPECT_EQ(layer_shape(graph, "logits"), (Shape{2, 5}));
    EXPECT_EQ(graph.tensor(graph.find("loss")).role, Role::metric);
    EXPECT_EQ(graph.tensor(graph.find("correct")).role, Role::metric);
  }
}

// The model has `norm_layers` normalisations of either kind and the same weights with each; they
// take in every activation and every addition but `sums`; frozen batch norm updates nothing.
inline void check_norms(const std::string& name, int64_t norm_layers, int64_t sums = 0) {
  ModelOptions o;
  const int64_t usual = parameters(name, o);
  const Graph batch = build_model(name, o);
  EXPECT_EQ(count_ops(batch, "batch_norm"), norm_layers);
  EXPECT_EQ(count_ops(batch, "group_norm"), 0);
  const auto apart = [](const Graph& graph) {
    return count_ops(graph, "relu") + count_ops(graph, "relu6") + count_ops(graph, "add");
  };
  EXPECT_EQ(apart(batch), sums);
  o.norm = "frozen";
  const Graph frozen = build_model(name, o);
  EXPECT_EQ(count_ops(frozen, "batch_norm"), norm_layers);
  for (const Node& node : frozen.nodes) {
    EXPECT_TRUE(node.updates.empty()) << node.name;
  }
  o.norm = "group";
  const Graph group = build_model(name, o);
  EXPECT_EQ(count_ops(group, "group_norm"), norm_layers);
  EXPECT_EQ(count_ops(group, "batch_norm"), 0);
  EXPECT_EQ(apart(group), sums);
  EXPECT_EQ(trainable_parameters(group), usual);
}

}  // namespace thimble
