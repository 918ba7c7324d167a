#include "models/network.h"

#include <gtest/gtest.h>

#include "autodiff/differentiate.h"
#include "base/random.h"
#include "models/small_network.h"
#include "models/zoo.h"
#include "support/expect_error.h"
#include "support/interpreter.h"

namespace thimble {
namespace {

std::vector<std::string> ops_of(const Network& network) {
  std::vector<std::string> ops;
  for (const NetworkLayer& layer : network.layers) ops.push_back(layer.op);
  return ops;
}

const NetworkParameter& parameter(const Network& network, const std::string& name) {
  for (const NetworkParameter& p : network.parameters) {
    if (p.name == name) return p;
  }
  throw InternalError(name);
}

TEST(Network, JoinsWhatOneKernelDoes) {
  EXPECT_EQ(ops_of(fused(small_network(5))),
            (std::vector<std::string>{"conv2d", "batch_norm", "conv2d", "batch_norm", "conv2d",
                                      "batch_norm", "global_average_pool", "flatten", "linear"}));
}

TEST(Network, LeavesApartWhatOthersReadAsWell) {
  Network n = small_network(5);
  n.layers[10].inputs[0] = "deep_norm_out";  // the sum reads what the activation reads
  const auto ops = ops_of(fused(n));
  EXPECT_EQ(std::count(ops.begin(), ops.end(), "relu"), 1);
  EXPECT_EQ(std::count(ops.begin(), ops.end(), "add"), 0);
}

// The naive way: every layer as it came.
TEST(Network, JoinedComputesWhatItDidApart) {
  const Network apart = small_network(5);
  Graph joined = inference_graph(graph_of(apart, small_options(5)));
  // Two readers of each tensor keep everything apart.
  Network watched = apart;
  const std::vector<NetworkLayer> layers = watched.layers;
  watched.layers.clear();
  for (const NetworkLayer& layer : layers) {
    watched.layers.push_back(layer);
    if (layer.op == "linear" || layer.op == "flatten") continue;
    const std::string& out = layer.outputs[0];
    watched.layers.push_back({"flatten", "watch " + out, {out}, {"watched " + out}, {}});
  }
  EXPECT_EQ(ops_of(fused(watched)).size(), watched.layers.size());
  const Graph plain = inference_graph(graph_of(watched, small_options(5)));
  Interpreter<double> a(joined), b(plain);
  for (size_t t = 0; t < joined.tensors.size(); ++t) {
    const Tensor& tensor = joined.tensors[t];
    if (tensor.role != Role::weight && tensor.role != Role::statistic && tensor.name != "images") {
      continue;
    }
    const RandomStream random(7, t);
    std::vector<double> values;
    for (int64_t i = 0; i < tensor.shape.elements(); ++i) values.push_back(random.normal(i));
    if (tensor.name.ends_with(".var")) {
      for (double& v : values) v = 0.5 + v * v;
    }
    a.set(static_cast<TensorId>(t), values);
    b.set(plain.find(tensor.name), values);
  }
  a.set(joined.find("labels"), {1, 3});
  b.set(plain.find("labels"), {1, 3});
  a.run();
  b.run();
  const auto x = a.get(joined.find("logits")), y = b.get(plain.find("logits"));
  ASSERT_EQ(x.size(), 10u);
  for (size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(x[i], y[i], 1e-12) << i;
}

TEST(Network, KeepsItsNamesAndTrainsOnAnyBatchAndSize) {
  ModelOptions o = small_options(5);
  o.batch = 7;
  o.height = o.width_px = 21;
  const Graph graph = graph_of(small_network(5), o);
  verify(graph);
  EXPECT_EQ(layer_shape(graph, "stem.weight"), (Shape{8, 3, 3, 3}));
  EXPECT_EQ(layer_shape(graph, "images"), (Shape{7, 3, 21, 21}));
  EXPECT_EQ(layer_shape(graph, "logits"), (Shape{7, 5}));
  EXPECT_EQ(graph.tensor(graph.find("stem_norm.mean")).role, Role::statistic);
  EXPECT_TRUE(graph.tensor(graph.find("fc.bias")).trainable);
}

TEST(Network, OtherClassesBeginItsLastLayerAnew) {
  EXPECT_EQ(classes_of(small_network(5)), 5);
  EXPECT_EQ(with_classes(small_network(5), 5), small_network(5));
  const Network n = with_classes(small_network(5), 3);
  EXPECT_EQ(classes_of(n), 3);
  EXPECT_EQ(parameter(n, "fc.weight").shape, (Shape{3, 8}));
  EXPECT_TRUE(parameter(n, "fc.weight").fresh && parameter(n, "fc.bias").fresh);
  EXPECT_FALSE(parameter(n, "stem.weight").fresh);
  EXPECT_EQ(layer_shape(graph_of(n, small_options(3)), "logits"), (Shape{2, 3}));
}

TEST(Network, FeaturesGetAHead) {
  EXPECT_EQ(classes_of(small_network(0)), 0);
  const Network n = with_classes(small_network(0), 3);
  EXPECT_EQ(parameter(n, "head.weight").shape, (Shape{3, 8}));
  EXPECT_EQ(layer_shape(graph_of(n, small_options(3)), "logits"), (Shape{2, 3}));
}

TEST(Network, FeaturesOfPixelsArePooledFirst) {
  Network n = small_network(0);
  n.layers.resize(n.layers.size() - 2);
  n.output = "z";
  const Network headed = with_classes(n, 3);
  EXPECT_EQ(layer_shape(graph_of(headed, small_options(3)), "head.pool"), (Shape{2, 8, 1, 1}));
}

// SqueezeNet's: a convolution, a ReLU, and the mean over pixels.
Network ending_in_a_pool(const std::string& output) {
  Network n = small_network(0);
  n.layers.resize(n.layers.size() - 2);
  n.parameters.push_back({"last.weight", {5, 8, 1, 1}});
  n.parameters.push_back({"last.bias", {5}});
  n.layers.push_back({"conv2d",
                      "last",
                      {"z", "last.weight", "last.bias"},
                      {"maps"},
                      {{"out_channels", int64_t{5}}, {"bias", int64_t{1}}}});
  n.layers.push_back({"relu", "act", {"maps"}, {"active"}, {}});
  n.layers.push_back({"global_average_pool", "mean", {"active"}, {"mean"}, {}});
  n.layers.push_back({"flatten", "end", {"mean"}, {output}, {}});
  n.output = output;
  return n;
}

TEST(Network, ClassesMayStandBeforeThePool) {
  const Network n = ending_in_a_pool("logits");
  EXPECT_EQ(classes_of(n), 5);
  EXPECT_EQ(with_classes(n, 5), n);
  EXPECT_EQ(parameter(with_classes(n, 3), "last.weight").shape, (Shape{3, 8, 1, 1}));
  EXPECT_EQ(layer_shape(graph_of(with_classes(n, 3), small_options(3)), "logits"), (Shape{2, 3}));
  // Features, by their name: a head behind them has a name of its own.
  EXPECT_EQ(classes_of(ending_in_a_pool("features")), 0);
  Network named = small_network(0);
  named.layers.back().outputs[0] = named.output = "logits";
  EXPECT_EQ(with_classes(named, 3).output, "logits_");
}

TEST(Network, LayersMayBeCalledAsWhatTheLoopLooksFor) {
  Network n = small_network(5);
  n.layers[0].name = "labels";
  n.layers[1].name = "logits";
  const Graph graph = graph_of(n, small_options(5));
  EXPECT_EQ(layer_shape(graph, "labels"), (Shape{2}));
  EXPECT_EQ(layer_shape(graph, "logits"), (Shape{2, 5}));
}

TEST(Network, SaysWhichLayerDoesNotTakeWhatItIsGiven) {
  ModelOptions o = small_options(5);
  o.height = o.width_px = 1;
  expect_user_error([&] { graph_of(small_network(5), o); }, "layer stem: conv2d: the kernel");
  Network n = small_network(5);
  n.layers[2].inputs[0] = "nowhere";
  expect_user_error([&] { graph_of(n, small_options(5)); },
                    "layer stem_norm reads nowhere, which nothing makes before it");
  n = small_network(5);
  n.parameters[0].name = n.layers[1].inputs[1] = "loss";
  expect_user_error([&] { graph_of(n, small_options(5)); }, "a parameter is called loss");
  expect_user_error([] { graph_of(small_network(5), small_options(5, "group")); },
                    "no group norm in place of its batch norm");
}

}  // namespace
}  // namespace thimble
