#include <map>
#include <set>

#include "base/hash.h"
#include "models/network.h"
#include "models/zoo.h"
#include "support/draw.h"
#include "support/expect_error.h"
#include "support/interpreter.h"

namespace thimble {
namespace {

ModelOptions small_options(const Model& model, const std::string& norm) {
  ModelOptions o;
  o.batch = 2;
  o.channels = 3;
  o.height = std::max<int64_t>(32, model.smallest_px);
  o.classes = 4;
  o.width = 0.25;
  o.norm = norm;
  return resolve_options(model, o);
}

// Every value that comes from outside, from its tensor's name.
std::vector<double> drawn(const Tensor& t) {
  const RandomStream random(1, hash_of(t.name));
  const bool variance = t.name.ends_with("var");
  std::vector<double> values;
  for (int64_t i = 0; i < t.shape.elements(); ++i) {
    const double v = uniform(variance ? 0.5 : -0.2, variance ? 1.5 : 0.2)(random, i, 1);
    values.push_back(t.type == ElementType::i32 ? 1.0 : v);
  }
  return values;
}

// Of all tensors with these names.
std::map<std::string, std::vector<double>> results(const Graph& graph) {
  Interpreter<float> run(graph);
  for (size_t t = 0; t < graph.tensors.size(); ++t) {
    if (!is_persistent(graph.tensors[t].role)) continue;
    run.set(static_cast<TensorId>(t), drawn(graph.tensors[t]));
  }
  run.run();
  std::map<std::string, std::vector<double>> all;
  for (const char* name : {"logits", "loss", "correct"}) all[name] = run.get(graph.find(name));
  return all;
}

TEST(NetworkOf, EveryModelComputesTheSame) {
  for (const Model* model : zoo()) {
    for (const char* norm : {"batch", "frozen"}) {
      SCOPED_TRACE(str_cat(model->name, " with norm ", norm));
      const ModelOptions o = small_options(*model, norm);
      const Graph graph = build_model(model->name, o);
      const Graph again = graph_of(network_of(graph, o), o);
      verify(again);
      EXPECT_EQ(trainable_parameters(again), trainable_parameters(graph));
      EXPECT_EQ(again.nodes.size(), graph.nodes.size());
      EXPECT_EQ(results(again), results(graph));
    }
  }
}

TEST(NetworkOf, GroupNormsStay) {
  const Model& model = find_model("resnet18_cifar");
  ModelOptions o = small_options(model, "group");
  const Graph graph = build_model(model.name, o);
  const Network network = network_of(graph, o);
  o.norm = "batch";
  const Graph again = graph_of(network, o);
  EXPECT_EQ(count_ops(again, "group_norm"), count_ops(graph, "group_norm"));
  EXPECT_EQ(results(again), results(graph));
}

TEST(NetworkOf, WhatWasJoinedComesApart) {
  const ModelOptions o = small_options(find_model("mobilenet_v2"), "batch");
  const Network network = network_of(build_model("mobilenet_v2", o), o);
  EXPECT_EQ(network.input, "images");
  EXPECT_EQ(network.output, "logits");
  EXPECT_EQ(network.image, (Shape{3, 32, 32}));
  EXPECT_EQ(network.layers[0].name, "stem.conv");
  EXPECT_EQ(network.layers[1].op, "batch_norm");
  EXPECT_EQ(network.layers[1].outputs, std::vector<std::string>{"stem.norm"});
  EXPECT_EQ(network.layers[2].op, "relu6");
  EXPECT_EQ(network.layers[2].name, "stem.norm.relu6");
  EXPECT_EQ(network.layers.back().op, "linear");
  std::set<std::string> made;
  for (const NetworkLayer& layer : network.layers) {
    EXPECT_FALSE(layer.attributes.has("activation")) << layer.name;
    for (const std::string& name : layer.outputs) EXPECT_TRUE(made.insert(name).second) << name;
  }
}

TEST(NetworkOf, DropoutIsLeftOut) {
  const Model& model = find_model("mobilenet_v2");
  ModelOptions o = small_options(model, "batch");
  o.variants["dropout"] = "0.2";
  const Network network = network_of(build_model(model.name, o), o);
  for (const NetworkLayer& layer : network.layers) EXPECT_NE(layer.op, "dropout");
  EXPECT_EQ(network.layers.back().inputs[0], "flatten");
}

}  // namespace
}  // namespace thimble
