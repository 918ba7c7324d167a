#include "models/prune.h"

#include <gtest/gtest.h>

#include "models/hidden_network.h"
#include "models/rep_net_profile.h"
#include "support/expect_error.h"
#include "support/interpreter.h"

namespace thimble {
namespace {

std::vector<double> output_of(const Network& network, const Weights& weights) {
  const Graph graph = graph_with(
      network, [](const std::string&) { return false; }, 2);
  Interpreter<double> run(graph);
  std::vector<double> images;
  for (int64_t i = 0; i < graph.tensor(graph.find("images")).shape.elements(); ++i) {
    images.push_back(RandomStream(3, 4).normal(static_cast<uint64_t>(i)));
  }
  run.set(graph.find("images"), images);
  run.set(graph.find("labels"), {0, 1});
  for (const auto& [name, values] : weights) {
    run.set(graph.find(name), {values.begin(), values.end()});
  }
  run.run();
  return run.get(graph.find("logits"));
}

std::vector<Pruning> hidden_without(const Network& network, const std::set<int64_t>& gone) {
  std::vector<Pruning> prunings;
  const auto blocks = blocks_of(network);
  for (size_t b = 0; b < blocks.size(); ++b) {
    for (const ChannelGroup& g : hidden_channels(channel_groups(network), network, blocks, b)) {
      prunings.push_back({g, {}});
      for (int64_t c = 0; c < g.channels; ++c) {
        if (!gone.contains(c)) prunings.back().kept.push_back(c);
      }
    }
  }
  return prunings;
}

// A channel whose normalisations give zero is none.
TEST(Prune, WithoutChannelsThatAreZeroNothingChanges) {
  const Network network = hidden_network({3, 12, 12});
  const std::set<int64_t> gone = {1, 4};
  const std::vector<Pruning> prunings = hidden_without(network, gone);
  ASSERT_EQ(prunings.size(), 4u);
  Weights weights = drawn(network);
  for (const Pruning& pruning : prunings) {
    for (const ChannelCut& cut : pruning.group.cuts) {
      if (!cut.parameter.ends_with("norm.weight") && !cut.parameter.ends_with("norm.bias"))
        continue;
      for (int64_t c : gone) weights[cut.parameter][static_cast<size_t>(c)] = 0;
    }
  }
  const Network smaller = pruned(network, prunings);
  Weights left;
  for (const NetworkParameter& p : network.parameters) {
    left[p.name] = pruned_values(p, weights[p.name], prunings);
  }
  for (const NetworkParameter& p : smaller.parameters) {
    EXPECT_EQ(static_cast<int64_t>(left[p.name].size()), p.shape.elements()) << p.name;
  }
  const auto expected = output_of(network, weights);
  const auto got = output_of(smaller, left);
  ASSERT_EQ(got.size(), expected.size());
  for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], expected[i], 1e-12);
}

TEST(Prune, CutsRowsAndColumnsOfOneWeight) {
  const Network smaller =
      pruned(hidden_network({3, 12, 12}), hidden_without(hidden_network({3, 12, 12}), {0, 3}));
  const auto shape = [&](const std::string& name) {
    for (const NetworkParameter& p : smaller.parameters) {
      if (p.name == name) return p.shape;
    }
    return Shape{};
  };
  EXPECT_EQ(shape("stem.conv.weight"), (Shape{4, 3, 3, 3}));
  EXPECT_EQ(shape("a.depthwise.conv.weight"), (Shape{4, 1, 3, 3}));
  EXPECT_EQ(shape("a.project.conv.weight"), (Shape{4, 4, 1, 1}));
  EXPECT_EQ(shape("b.project.conv.weight"), (Shape{4, 6, 1, 1}));
  EXPECT_EQ(shape("c.2.conv.weight"), (Shape{5, 3, 3, 3}));
  EXPECT_EQ(shape("c.2.norm.running_var"), (Shape{5}));
}

TEST(Prune, KeepsTheValuesOfTheKeptChannels) {
  const ChannelGroup rows = {"", 3, {}, {{"w", 0}}, {}, {}, {}, ""};
  const ChannelGroup columns = {"", 2, {}, {{"w", 1}}, {}, {}, {}, ""};
  const NetworkParameter w = {"w", {3, 2, 1, 2}, Role::weight, {}, false};
  EXPECT_EQ(
      pruned_values(w, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, {{rows, {0, 2}}, {columns, {1}}}),
      (std::vector<float>{2, 3, 10, 11}));
}

TEST(Prune, RefusesChannelsThatAreAdded) {
  const Network network = hidden_network({3, 12, 12});
  for (const ChannelGroup& g : channel_groups(network)) {
    if (g.name != "c.3.conv") continue;
    expect_user_error(
        [&] {
          pruned(network, {{g, {0}}});
        },
        "the channels of c.3.conv cannot be removed: layer c.add (add) takes them "
        "together");
  }
}

TEST(Prune, KeepsTheChannelsWithTheLargestScores) {
  EXPECT_EQ(largest({0.1, 3, 2, 0.5, 2}, 3), (std::vector<int64_t>{1, 2, 4}));
  EXPECT_EQ(largest({1, 1, 1, 1}, 2), (std::vector<int64_t>{0, 1}));
}

MemoryProfile profile_of(const Network& network) {
  return memory_profile(graph_with(network, is_head_or_side), groups_of_backbone());
}

std::vector<PrunableBlock> first_blocks(size_t count) {
  const Network backbone = written_mobilenet_v2(10).network;
  const auto blocks = blocks_of(backbone);
  std::vector<PrunableBlock> some;
  for (size_t b = 0; b < count; ++b) {
    some.push_back(
        {blocks[b].name, hidden_channels(channel_groups(backbone), backbone, blocks, b)});
  }
  return some;
}

std::vector<int64_t> kept(const std::vector<PrunableBlock>& blocks,
                          const std::vector<double>& ratios) {
  std::vector<int64_t> counts;
  for (size_t b = 0; b < blocks.size(); ++b) {
    counts.push_back(kept_channels(blocks[b].groups.at(0), ratios[b]));
  }
  return counts;
}

// Figure 3 of the paper: 2.02 MB at block 13, which is not pruned; Table 1: 21 MB.
TEST(Prune, OfThePapersRatiosIsThePapersProfile) {
  const auto blocks = first_blocks(4);
  const std::vector<double> ratios = {0.3, 0.78, 0.46, 0.46};
  EXPECT_EQ(kept(blocks, ratios), (std::vector<int64_t>{22, 21, 78, 78}));
  const auto smaller = [&](int64_t classes) {
    std::vector<Pruning> prunings;
    for (size_t b = 0; b < blocks.size(); ++b) {
      const ChannelGroup& group = blocks[b].groups[0];
      prunings.push_back({group, largest(std::vector<double>(static_cast<size_t>(group.channels)),
                                         kept_channels(group, ratios[b]))});
    }
    return pruned(paper_network(classes), prunings);
  };
  const MemoryProfile profile = profile_of(smaller(10));
  EXPECT_EQ(profile.peak_bytes, 2020956);
  EXPECT_EQ(profile.blocks[13].name, "block13");
  EXPECT_EQ(profile.blocks[13].peak_bytes, 2020956);
  EXPECT_EQ(profile.cumulative_bytes, 1677364);
  EXPECT_EQ(profile_of(smaller(200)).total_bytes(8), 20923493);
}

std::vector<double> ratios_for(const std::vector<PrunableBlock>& blocks,
                               const MemoryTarget& target) {
  std::vector<double> ratios;
  for (const BlockRatio& r : smallest_ratios(paper_network(10), blocks, target, profile_of)) {
    EXPECT_TRUE(r.reached);
    EXPECT_GT(target.of(r.before), target.bytes);
    EXPECT_LE(target.of(r.after), target.bytes);
    ratios.push_back(r.ratio);
  }
  return ratios;
}

// The paper's ratios to the channel, but for block 2, which it prunes by one more.
TEST(Prune, ForPeaksOfTwoMegabytesItsRatiosAreThePapers) {
  const auto blocks = first_blocks(4);
  const std::vector<double> ratios = ratios_for(blocks, {2'000'000});
  EXPECT_EQ(kept(blocks, ratios), (std::vector<int64_t>{22, 22, 78, 78}));
  EXPECT_DOUBLE_EQ(ratios[3], 66.0 / 144);
}

// 22.7 channels of 32, 22.7 of 96 and 130.6 of 144 would be as much as is kept overall.
TEST(Prune, ForTemporariesAsLargeAsWhatIsKeptItNeedsLess) {
  const auto blocks = first_blocks(4);
  const MemoryTarget target = {profile_of(paper_network(10)).cumulative_bytes, true};
  EXPECT_EQ(kept(blocks, ratios_for(blocks, target)), (std::vector<int64_t>{22, 22, 130, 130}));
}

TEST(Prune, SaysWhereNoRatioIsEnough) {
  const auto ratios = smallest_ratios(paper_network(10), first_blocks(3), {300'000}, profile_of);
  EXPECT_FALSE(ratios[0].reached);
  EXPECT_FALSE(ratios[1].reached);
  EXPECT_DOUBLE_EQ(ratios[1].ratio, 95.0 / 96);
  EXPECT_EQ(ratios[1].after.temporary_bytes, (16 + 1) * 12544 * 4);
}

TEST(Prune, TakesNothingFromABlockThatKeepsToTheTarget) {
  for (const BlockRatio& r :
       smallest_ratios(paper_network(10), first_blocks(4), {6'000'000}, profile_of)) {
    EXPECT_EQ(r.ratio, 0);
  }
}

}  // namespace
}  // namespace thimble
