#include "models/network_blocks.h"

#include <gtest/gtest.h>

#include "models/mobile_network.h"
#include "models/network_shapes.h"
#include "models/side_network.h"

namespace thimble {
namespace {

std::vector<std::string> names_of(const std::vector<NetworkBlock>& blocks) {
  std::vector<std::string> names;
  for (const NetworkBlock& block : blocks) names.push_back(block.name);
  return names;
}

TEST(NetworkBlocks, AreMobileNetsInvertedResiduals) {
  for (double width : {0.35, 1.0}) {
    const Network n = mobilenet_v2_network(width, {3, 64, 64});
    const std::vector<NetworkBlock> blocks = blocks_of(n);
    ASSERT_EQ(blocks.size(), 17u);
    for (size_t k = 0; k < 17; ++k) EXPECT_EQ(blocks[k].name, str_cat("features.", k + 1));
    // Behind the stem; without the last convolution and the head.
    EXPECT_EQ(blocks[0].first, 3u);
    EXPECT_EQ(blocks[16].last + 6, n.layers.size());
    const auto shapes = shapes_of(n, n.image);
    EXPECT_EQ(shapes.at(blocks[1].input), (Shape{1, scaled(16, width), 32, 32}));
    EXPECT_EQ(shapes.at(blocks[1].output), (Shape{1, scaled(24, width), 16, 16}));
  }
}

TEST(NetworkBlocks, FollowEachOtherWithoutGaps) {
  const Network n = mobilenet_v2_network(0.35, {3, 64, 64});
  const std::vector<NetworkBlock> blocks = blocks_of(n);
  for (size_t k = 1; k < blocks.size(); ++k) {
    EXPECT_EQ(blocks[k].first, blocks[k - 1].last);
    EXPECT_EQ(blocks[k].input, blocks[k - 1].output);
  }
  // The sum is its block's: layers of block 3 are expand, depthwise, project (8) and the addition.
  EXPECT_EQ(blocks[2].last - blocks[2].first, 9u);
  EXPECT_EQ(n.layers[blocks[2].last - 1].op, "add");
}

TEST(NetworkBlocks, HoldWhatStandsBesideThem) {
  const Network n = mobilenet_v2_network(0.35, {3, 64, 64});
  for (const char* side : {"rep-net", "tinytl"}) {
    const Network both = with_side(n, side, n.image);
    const std::vector<NetworkBlock> plain = blocks_of(n), beside = blocks_of(both);
    EXPECT_EQ(names_of(beside), names_of(plain)) << side;
    ASSERT_EQ(beside.size(), 17u);
    EXPECT_EQ(beside[1].output, "side.features.2.sum");
    EXPECT_EQ(beside[16].last + 6, both.layers.size());
    EXPECT_EQ(both.layers[beside[0].first].name, n.layers[plain[0].first].name);
  }
}

// Keras' names have no dots.
TEST(NetworkBlocks, AreCalledAsTheirWeightsAre) {
  Network n = mobilenet_v2_network(0.35, {3, 64, 64});
  const auto rename = [&](const std::string from, const std::string& to) {
    for (NetworkParameter& p : n.parameters) {
      if (p.name == from) p.name = to;
    }
    for (NetworkLayer& layer : n.layers) {
      std::replace(layer.inputs.begin(), layer.inputs.end(), from, to);
    }
  };
  rename("features.2.conv.0.0.weight", "block_1_expand.weight");
  rename("features.2.conv.1.0.weight", "block_1_depthwise.weight");
  rename("features.2.conv.2.weight", "block_1_project.weight");
  EXPECT_EQ(blocks_of(n)[1].name, "block_1");
  // Of weights whose names say nothing: counted.
  for (size_t i = 0; i < n.parameters.size(); ++i) rename(n.parameters[i].name, str_cat("p", i));
  const auto names = names_of(blocks_of(n));
  ASSERT_EQ(names.size(), 17u);
  EXPECT_EQ(names[0], "block1");
  EXPECT_EQ(names[16], "block17");
}

TEST(NetworkBlocks, AreResNetsJoinedPairs) {
  NetworkWriter w("resnet", {3, 32, 32});
  std::string x = w.conv_norm_act("stem", "input", 3, {8, 3, 2});
  x = w.layer("max_pool", {x});
  for (int64_t k : {1, 2}) {
    const int64_t in = 8, out = 8 * k;
    const std::string name = str_cat("layer", k, ".0");
    std::string y = w.conv_norm_act(name + ".conv1", x, in, {out, 3, k});
    y = w.norm(name + ".bn2", w.conv(name + ".conv2", y, out, {out, 3}), out);
    const std::string skip =
        k == 1 ? x : w.norm(name + ".down.1", w.conv(name + ".down.0", x, in, {out, 1, k}), out);
    x = w.layer("relu", {w.layer("add", {y, skip})});
  }
  const Network n = w.classify(x, 16, 10);
  const std::vector<NetworkBlock> blocks = blocks_of(n);
  EXPECT_EQ(names_of(blocks), (std::vector<std::string>{"layer1.0", "layer2.0"}));
  EXPECT_EQ(blocks[0].first, 4u);  // behind the stem's pool
  EXPECT_EQ(n.layers[blocks[0].last - 1].op, "relu");
  EXPECT_EQ(blocks[1].first, blocks[0].last);
  EXPECT_EQ(blocks[1].last + 3, n.layers.size());
}

TEST(NetworkBlocks, AreSeparableConvolutionsAndFires) {
  NetworkWriter w("separable", {3, 32, 32});
  std::string x = w.conv_norm_act("stem", "input", 3, {8, 3, 2});
  x = w.conv_norm_act("one.depthwise", x, 8, {8, 3, 1, 8});
  x = w.conv_norm_act("one.pointwise", x, 8, {16});
  x = w.conv_norm_act("two.depthwise", x, 16, {16, 3, 2, 16});
  x = w.conv_norm_act("two.pointwise", x, 16, {32});
  const std::vector<NetworkBlock> separable = blocks_of(w.classify(x, 32, 10));
  EXPECT_EQ(names_of(separable), (std::vector<std::string>{"one", "two"}));
  EXPECT_EQ(separable[0].first, 3u);
  EXPECT_EQ(separable[0].last, 9u);

  NetworkWriter fires("fires", {3, 32, 32});
  x = fires.layer("max_pool", {fires.layer("relu", {fires.conv("stem", "input", 3, {8, 3, 2})})});
  for (const char* name : {"fire2", "fire3"}) {
    const std::string squeezed =
        fires.layer("relu", {fires.conv(str_cat(name, ".squeeze"), x, 8, {4})});
    x = fires.layer(
        "concat",
        {fires.layer("relu", {fires.conv(str_cat(name, ".one"), squeezed, 4, {4})}),
         fires.layer("relu", {fires.conv(str_cat(name, ".three"), squeezed, 4, {4, 3})})},
        {{"axis", int64_t{1}}});
  }
  const std::vector<NetworkBlock> found = blocks_of(fires.classify(x, 8, 10));
  EXPECT_EQ(names_of(found), (std::vector<std::string>{"fire2", "fire3"}));
  EXPECT_EQ(found[0].first, 3u);
  EXPECT_EQ(found[0].last, 10u);
}

TEST(NetworkBlocks, AreNoneInAChain) {
  NetworkWriter w("chain", {3, 16, 16});
  const std::string x = w.conv_norm_act("b", w.conv_norm_act("a", "input", 3, {8, 3}), 8, {8, 3});
  EXPECT_TRUE(blocks_of(w.classify(x, 8, 10)).empty());
}

}  // namespace
}  // namespace thimble
