#include "models/memory_profile.h"

#include <gtest/gtest.h>

#include <set>

#include "models/rep_net_profile.h"
#include "models/trained.h"
#include "models/zoo.h"

namespace thimble {
namespace {

std::vector<std::string> sensitive(const MemoryProfile& profile) {
  std::vector<std::string> names;
  for (const BlockMemory& block : profile.blocks) {
    if (profile.is_sensitive(block)) names.push_back(block.name);
  }
  return names;
}

// Figure 1 of the paper, and Table 1 with the 200 classes of its largest data set.
TEST(MemoryProfile, OfRepNetOnMobileNetV2IsThePapers) {
  const MemoryProfile profile =
      memory_profile(graph_with(paper_network(10), is_head_or_side), groups_of_backbone());
  ASSERT_EQ(profile.blocks.size(), 19u);
  EXPECT_EQ(profile.blocks[1], (BlockMemory{"block1", true, 2408448, 100352, 2508800}));
  EXPECT_EQ(profile.blocks[2], (BlockMemory{"block2", true, 5619712, 831040, 5720064}));
  EXPECT_EQ(profile.cumulative_bytes, 1939808);
  EXPECT_EQ(profile.peak_bytes, 5720064);
  EXPECT_EQ(sensitive(profile), (std::vector<std::string>{"block1", "block2", "block3", "block4"}));
  EXPECT_EQ(profile.trained_parameters, 392882);
  EXPECT_EQ(profile.frozen_parameters, 2223872);
  EXPECT_EQ(profile.total_bytes(8), 49555912);
  const MemoryProfile birds =
      memory_profile(graph_with(paper_network(200), is_head_or_side), groups_of_backbone());
  EXPECT_EQ(birds.peak_bytes, 5720064);
  EXPECT_EQ(birds.total_bytes(8), 50529472);
}

// As released, its first module keeps a quarter.
TEST(MemoryProfile, OfTheReleasedRepNetLessIsKept) {
  const Network backbone = written_mobilenet_v2(10).network;
  const MemoryProfile profile = memory_profile(
      graph_with(with_rep_net(backbone, backbone.image), is_head_or_side), groups_of_backbone());
  EXPECT_EQ(profile.peak_bytes, 5720064);
  EXPECT_NEAR(static_cast<double>(profile.cumulative_bytes), 1.533e6, 500);
}

TEST(MemoryProfile, IsOfOneExampleWhateverTheBatch) {
  const Network network = paper_network(10);
  EXPECT_EQ(memory_profile(graph_with(network, is_head_or_side, 4), groups_of_backbone()).blocks,
            memory_profile(graph_with(network, is_head_or_side, 1), groups_of_backbone()).blocks);
}

// Joined norms count as what they are joined from.
TEST(MemoryProfile, IsTheSameOfJoinedLayersAndOfThoseOfTheZoo) {
  const auto all = [](const std::string&) { return true; };
  const Graph joined = graph_with(written_mobilenet_v2(1000).network, all);
  EXPECT_EQ(count_ops(joined, "relu6"), 0);
  const MemoryProfile profile = memory_profile(joined, groups_of_backbone());
  ModelOptions o;
  o.batch = 2;
  o.norm = "frozen";
  std::vector<LayerGroup> whole = {{"stem", false, {}}};
  const MemoryProfile zoo = memory_profile(
      build_model("mobilenet_v2", resolve_options(find_model("mobilenet_v2"), o)), whole);
  EXPECT_EQ(zoo.cumulative_bytes, profile.cumulative_bytes);
  EXPECT_EQ(zoo.peak_bytes, profile.peak_bytes);
  EXPECT_EQ(zoo.trained_parameters, profile.trained_parameters);
}

// conv 3 -> 4 at 8x8, norm, relu, norm, silu, pool, linear.
TEST(MemoryProfile, CountsWhatIsKeptForWhatIsTrained) {
  WrittenNetwork w("tiny", {3, 8, 8});
  std::string x = w.plain("relu", "relu", {w.norm("norm1", w.conv("conv", w.network.input, 4, 3))});
  x = w.plain("silu", "silu", {w.norm("norm2", x)});
  w.classify(x, 5);
  const std::vector<LayerGroup> whole = {{"all", true, {}}};
  const auto kept = [&](const std::set<std::string>& trained) {
    const auto trains = [&](const std::string& name) { return trained.contains(name); };
    return memory_profile(graph_with(w.network, trains), whole).cumulative_bytes;
  };
  constexpr int64_t kImage = 3 * 64 * 4, kMap = 4 * 64 * 4, kMask = 4 * 64 / 8, kPooled = 4 * 4;
  EXPECT_EQ(kept({"fc.weight"}), kPooled);  // no activation on the way
  EXPECT_EQ(kept({"fc.bias"}), 0);
  EXPECT_EQ(kept({"norm2.bias"}), kMask + kMap);
  EXPECT_EQ(kept({"norm2.weight"}), kMask + 2 * kMap);
  EXPECT_EQ(kept({"conv.weight", "fc.weight"}), kImage + kMask + kMap + kPooled);
}

TEST(MemoryProfile, OfAWeightThatIsTrainedInPartCountsThoseChannels) {
  WrittenNetwork w("tiny", {4, 8, 8});
  w.classify(w.conv("conv", w.depthwise("deep", w.network.input), 8), 5);
  const Graph graph = graph_of(w.network, options_of(w.network, 2));
  const auto profile = [&](const std::string& rules) {
    return memory_profile(with_trained(graph, rules), {{"all", true, {}}});
  };
  constexpr int64_t kChannel = 64 * 4;
  EXPECT_EQ(profile("conv.weight[1:4]").cumulative_bytes, 3 * kChannel);
  EXPECT_EQ(profile("deep.weight[0:1]").cumulative_bytes, 1 * kChannel);
  EXPECT_EQ(profile("fc.weight[1/4]").cumulative_bytes, 2 * 4);
  EXPECT_EQ(profile("conv.weight[1:4]").trained_parameters, 8 * 3);
  EXPECT_EQ(profile("conv.weight[1:4]").frozen_parameters,
            profile("all").trained_parameters - 8 * 3);
}

// Rep-Net's modules run before their blocks in some graphs.
TEST(MemoryProfile, WhatStandsBesideABlockRunsBehindItsLayers) {
  const auto written = [](bool first) {
    WrittenNetwork w("tiny", {4, 8, 8});
    const auto side = [&] { w.norm("side.a.norm", w.network.input); };
    if (first) side();
    const std::string x = w.conv("conv", w.network.input, 4);
    if (!first) side();
    w.classify(x, 5);
    return w.network;
  };
  const std::vector<LayerGroup> groups = {{"a", true, {"conv"}, "side.a."},
                                          {"head", false, {"fc"}}};
  const auto profile = [&](bool first) {
    return memory_profile(graph_with(written(first), is_head_or_side), groups).blocks;
  };
  EXPECT_EQ(profile(true), profile(false));
  EXPECT_EQ(profile(true)[0], (BlockMemory{"a", true, 8 * 256, 4 * 256, 8 * 256}));
}

TEST(MemoryProfile, AWeightThatIsMadeOfATrainedOneIsTrained) {
  WrittenNetwork w("tiny", {4, 8, 8});
  const std::string x = w.conv("conv", w.network.input, 4);
  w.network.layers[0].inputs[1] = "standard";
  w.network.layers.insert(w.network.layers.begin(),
                          {"standardize_weights", "standard", {"conv.weight"}, {"standard"}, {}});
  w.classify(x, 5);
  const auto trains = [](const std::string& name) { return name == "conv.weight"; };
  EXPECT_EQ(memory_profile(graph_with(w.network, trains), {{"all", true, {}}}).cumulative_bytes,
            4 * 256);
}

// (3 + 4) maps of the convolution are most; what is kept by then is the image.
TEST(MemoryProfile, ItsPeakIsOfTheLayerWithWhatIsKeptBeforeIt) {
  WrittenNetwork w("tiny", {3, 8, 8});
  w.classify(w.conv("conv2", w.conv("conv1", w.network.input, 4), 2), 5);
  const auto all = [](const std::string&) { return true; };
  const MemoryProfile profile = memory_profile(
      graph_with(w.network, all), {{"first", true, {"conv1"}}, {"second", true, {"conv2"}}});
  EXPECT_EQ(profile.blocks[0], (BlockMemory{"first", true, 7 * 256, 3 * 256, 7 * 256}));
  EXPECT_EQ(profile.blocks[1], (BlockMemory{"second", true, 6 * 256, 7 * 256 + 8, 9 * 256}));
}

TEST(MemoryProfile, DepthwiseConvolutionsWorkInPlace) {
  WrittenNetwork w("tiny", {4, 8, 8});
  w.classify(w.depthwise("conv", w.network.input), 5);
  const auto none = [](const std::string& name) { return name == "fc.weight"; };
  const MemoryProfile profile = memory_profile(graph_with(w.network, none), {{"all", true, {}}});
  EXPECT_EQ(profile.blocks[0].temporary_bytes, (4 + 1) * 256);
}

}  // namespace
}  // namespace thimble
