#include "models/side_network.h"

#include <gtest/gtest.h>

#include "autodiff/differentiate.h"
#include "models/mobile_network.h"
#include "models/network_shapes.h"
#include "support/check_backends.h"
#include "support/check_net.h"
#include "support/expect_error.h"
#include "transforms/masks.h"

namespace thimble {
namespace {

ModelOptions options_of(const Network& n, const std::string& norm = "batch") {
  ModelOptions o;
  o.batch = 2;
  o.channels = n.image[0];
  o.height = n.image[1];
  o.width_px = n.image[2];
  o.classes = 10;
  o.norm = norm;
  return o;
}

Network small_backbone() { return mobilenet_v2_network(0.35, {3, 64, 64}); }

std::vector<std::string> modules_of(const Network& n) {
  std::vector<std::string> blocks;
  const std::string begin = "side.", end = ".sum";
  for (const NetworkLayer& layer : n.layers) {
    if (!layer.name.starts_with(begin) || !layer.name.ends_with(end)) continue;
    blocks.push_back(
        layer.name.substr(begin.size(), layer.name.size() - begin.size() - end.size()));
  }
  return blocks;
}

const NetworkLayer& layer(const Network& n, const std::string& name) {
  for (const NetworkLayer& l : n.layers) {
    if (l.name == name) return l;
  }
  throw InternalError(name);
}

int64_t fresh_weights(const Network& n) {
  int64_t total = 0;
  for (const NetworkParameter& p : n.parameters) {
    if (p.fresh && p.role == Role::weight) total += p.shape.elements();
  }
  return total;
}

// REFERENCE: 392,882 trained with a classifier of 12,810.
TEST(RepNet, HasSixModulesAndTheSourcesParameters) {
  const Network backbone = mobilenet_v2_network(1, {3, 224, 224});
  const Network n = with_rep_net(backbone, {3, 224, 224});
  EXPECT_EQ(modules_of(n), (std::vector<std::string>{"features.2", "features.4", "features.7",
                                                     "features.11", "features.14", "features.17"}));
  EXPECT_EQ(fresh_weights(n), 392'882 - 12'810);
  for (const NetworkParameter& p : n.parameters) EXPECT_EQ(p.fresh, p.name.starts_with("side."));
}

TEST(RepNet, WorksAtTheSourcesResolutions) {
  const Network n = with_rep_net(mobilenet_v2_network(1, {3, 224, 224}), {3, 224, 224});
  const auto shapes = shapes_of(n, n.image);
  EXPECT_EQ(shapes.at("side.features.2.image"), (Shape{1, 3, 56, 56}));
  EXPECT_EQ(shapes.at("side.features.2.conv1"), (Shape{1, 8, 28, 28}));
  EXPECT_EQ(shapes.at("side.features.2.sum"), (Shape{1, 24, 56, 56}));
  EXPECT_EQ(shapes.at("side.features.7.norm2"), (Shape{1, 64, 14, 14}));
  // Where the source forgot the stride.
  EXPECT_EQ(shapes.at("side.features.14.norm2"), (Shape{1, 160, 7, 7}));
  EXPECT_EQ(shapes.at("side.features.17.conv1"), (Shape{1, 160, 3, 3}));
  EXPECT_EQ(layer(n, "side.features.14.conv1").attributes.integers("kernel")[0], 5);
  EXPECT_EQ(layer(n, "side.features.17.conv1").attributes.integers("kernel")[0], 3);
  EXPECT_EQ(layer(n, "side.features.2.conv1").attributes.integer("groups"), 1);
  EXPECT_EQ(layer(n, "side.features.4.conv1").attributes.integer("groups"), 2);
  // Nothing is brought up where the block halves as the module does.
  EXPECT_EQ(layer(n, "side.features.4.sum").inputs[1], "side.features.4.norm2");
  EXPECT_EQ(layer(n, "side.features.11.sum").inputs[1], "side.features.11.up");
}

TEST(TinyTl, HasAModuleBesideEachBlockButTheFirst) {
  const Network n = with_tiny_tl(mobilenet_v2_network(1, {3, 224, 224}), {3, 224, 224});
  EXPECT_EQ(modules_of(n).size(), 16u);
  const auto shapes = shapes_of(n, n.image);
  // Stride 2 as the block's, after means of 2x2.
  EXPECT_EQ(shapes.at("side.features.2.conv1"), (Shape{1, 16, 28, 28}));
  EXPECT_EQ(shapes.at("side.features.2.sum"), (Shape{1, 24, 56, 56}));
  EXPECT_EQ(shapes.at("side.features.17.pool"), (Shape{1, 160, 3, 3}));
  EXPECT_EQ(layer(n, "side.features.17.conv1").attributes.integers("kernel")[0], 3);
  EXPECT_EQ(layer(n, "side.features.2.norm1").op, "group_norm");
  EXPECT_EQ(layer(n, "side.features.2.norm1").attributes.integer("groups"), 2);
}

// With the last scales zero.
TEST(SideNetwork, BeginsAsTheBackboneAlone) {
  const Network backbone = small_backbone();
  const Graph alone = inference_graph(graph_of(backbone, options_of(backbone)));
  for (const char* side : {"rep-net", "tinytl"}) {
    const Network n = with_side(backbone, side, backbone.image);
    const Graph both = inference_graph(graph_of(n, options_of(n)));
    Interpreter<float> a(alone), b(both);
    Values values = draw_inputs(both, 3);
    for (const NetworkParameter& p : n.parameters) {
      const auto t = static_cast<size_t>(both.find(p.name));
      const bool last = p.name.starts_with("side.") && p.name.find(".norm2.") != p.name.npos;
      if (last && p.role == Role::weight) values[t].assign(values[t].size(), 0);
      EXPECT_TRUE(!p.name.ends_with("norm2.weight") || p.init.value == 0) << p.name;
    }
    b.set(values);
    for (size_t t = 0; t < alone.tensors.size(); ++t) {
      const TensorId same = both.find(alone.tensors[t].name);
      if (is_persistent(alone.tensors[t].role) && alone.tensors[t].role != Role::metric) {
        a.set(static_cast<TensorId>(t), values[static_cast<size_t>(same)]);
      }
    }
    a.run();
    b.run();
    EXPECT_EQ(a.get(alone.find("logits")), b.get(both.find("logits"))) << side;
  }
}

// Only it is trained: of the backbone nothing is kept but bits.
TEST(SideNetwork, KeepsNoMapsOfTheBackbone) {
  for (const char* side : {"rep-net", "rep-net-wide", "tinytl"}) {
    const Network n = with_side(small_backbone(), side, {3, 64, 64});
    Graph graph = graph_of(n, options_of(n, std::string(side) == "tinytl" ? "frozen" : "batch"));
    for (Tensor& t : graph.tensors) t.trainable = t.trainable && t.name.starts_with("side.");
    for (Node& node : graph.nodes) {
      if (node.op != "batch_norm" || graph.tensor(node.inputs[2]).trainable) continue;
      node.attributes.set("training", int64_t{0});
      std::fill(node.outputs.begin() + 1, node.outputs.end(), kNoTensor);
      node.updates.clear();
    }
    const Graph d = differentiate(use_masks(graph), graph.find("loss")).graph;
    std::vector<bool> forward(d.tensors.size());
    for (const Node& node : d.nodes) {
      for (TensorId t : node.outputs) {
        if (t != kNoTensor) forward[static_cast<size_t>(t)] = node.phase == Phase::forward;
      }
    }
    int kept = 0;
    for (const Node& node : d.nodes) {
      if (node.phase != Phase::backward) continue;
      for (TensorId t : node.inputs) {
        if (t == kNoTensor || !forward[static_cast<size_t>(t)]) continue;
        const Tensor& tensor = d.tensor(t);
        if (tensor.type != ElementType::f32 || tensor.shape.rank() != 4) continue;
        EXPECT_TRUE(tensor.name.starts_with("side.")) << tensor.name << " for " << node.name;
        ++kept;
      }
    }
    EXPECT_GT(kept, 0) << side;
  }
}

TEST(SideNetwork, TrainsAlikeOnEveryBackend) {
  // Two blocks of stride 2 and one of stride 1, one of them on a single pixel.
  NetworkWriter w("few", {3, 16, 16});
  std::string x = w.conv_norm_act("stem", "input", 3, {8, 3, 2});
  const int64_t strides[] = {1, 2, 1, 4, 1}, channels[] = {8, 16, 16, 24, 24};
  int64_t in = 8;
  for (size_t k = 0; k < 5; ++k) {
    const std::string name = str_cat("block", k + 1);
    const int64_t hidden = 32;
    std::string y = w.conv_norm_act(name + ".expand", x, in, {hidden});
    y = w.conv_norm_act(name + ".depthwise", y, hidden, {hidden, 3, strides[k], hidden});
    y = w.norm(name + ".norm", w.conv(name + ".project", y, hidden, {channels[k]}), channels[k]);
    x = strides[k] == 1 && in == channels[k] ? w.layer("add", {x, y}) : y;
    in = channels[k];
  }
  const Network backbone = w.classify(x, in, 10);
  for (const char* side : {"rep-net", "tinytl"}) {
    SCOPED_TRACE(side);
    Network n = with_side(backbone, side, backbone.image);
    // A scale of its own, so that gradients pass.
    for (NetworkParameter& p : n.parameters) {
      if (p.name.ends_with("norm2.weight")) p.init.value = 1;
    }
    // Two values have hardly a variance: where nothing else has to, none is computed.
    const bool batch = std::string(side) == "rep-net";
    const Graph graph = graph_of(n, options_of(n, batch ? "batch" : "frozen"));
    check_net(graph, graph.find("logits"), false, 1e-4);
  }
}

TEST(SideNetwork, RefusesWhatHasNoBlocks) {
  NetworkWriter w("chain", {3, 16, 16});
  const Network n = w.classify(w.conv_norm_act("stem", "input", 3, {8, 3}), 8, 10);
  expect_user_error([&] { with_rep_net(n, n.image); }, "chain has 0 blocks");
  expect_user_error([&] { with_tiny_tl(n, n.image); }, "chain has 0 blocks");
  expect_user_error(
      [&] { with_side(n, "repnet", n.image); },
      "no side network called 'repnet', needed none, rep-net, rep-net-wide or tinytl");
  EXPECT_EQ(with_side(n, "none", n.image), n);
}

}  // namespace
}  // namespace thimble
