#include "models/channels.h"

#include <gtest/gtest.h>

#include "models/written_network.h"

namespace thimble {
namespace {

const ChannelGroup& made_by(const std::vector<ChannelGroup>& all, const std::string& layer) {
  for (const ChannelGroup& group : all) {
    if (group.name == layer) return group;
  }
  ADD_FAILURE() << "nothing is made by " << layer;
  return all.at(0);
}

// The names of the layers that make what may be removed of a block.
std::vector<std::string> hidden_of(const Network& network, size_t block) {
  std::vector<std::string> names;
  for (const ChannelGroup& g :
       hidden_channels(channel_groups(network), network, blocks_of(network), block)) {
    if (g.refusal.empty()) names.push_back(g.name);
  }
  return names;
}

// Two convolutions with a layer of some op between them.
WrittenNetwork with_between(const std::string& op) {
  WrittenNetwork w("tiny", {4, 8, 8});
  const std::string x = w.conv("first", w.network.input, 4);
  std::vector<std::string> inputs = {x};
  if (op == "add" || op == "mul" || op == "concat") inputs.push_back(w.network.input);
  w.classify(w.conv("second", w.plain(op, "between", inputs), 6), 5);
  return w;
}

TEST(Channels, AreCutFromAllThatHasThem) {
  const Network network = written_mobilenet_v2(10).network;
  const ChannelGroup expand = made_by(channel_groups(network), "block2.expand.conv");
  EXPECT_EQ(expand.refusal, "");
  EXPECT_EQ(expand.channels, 96);
  EXPECT_EQ(expand.cuts, (std::vector<ChannelCut>{{"block2.expand.conv.weight", 0},
                                                  {"block2.expand.norm.weight", 0},
                                                  {"block2.expand.norm.bias", 0},
                                                  {"block2.expand.norm.running_mean", 0},
                                                  {"block2.expand.norm.running_var", 0},
                                                  {"block2.depthwise.conv.weight", 0},
                                                  {"block2.depthwise.norm.weight", 0},
                                                  {"block2.depthwise.norm.bias", 0},
                                                  {"block2.depthwise.norm.running_mean", 0},
                                                  {"block2.depthwise.norm.running_var", 0},
                                                  {"block2.project.conv.weight", 1}}));
  EXPECT_EQ(expand.makers, (std::vector<std::string>{"block2.expand.conv"}));
  EXPECT_EQ(expand.depthwise, (std::vector<std::string>{"block2.depthwise.conv"}));
  EXPECT_EQ(expand.readers,
            (std::vector<std::string>{"block2.depthwise.conv", "block2.project.conv"}));
}

TEST(Channels, OfTheFirstBlockAreWhatTheStemMakes) {
  const Network network = written_mobilenet_v2(10).network;
  EXPECT_EQ(hidden_of(network, 0), (std::vector<std::string>{"stem.conv"}));
  EXPECT_EQ(hidden_of(network, 1), (std::vector<std::string>{"block2.expand.conv"}));
  EXPECT_EQ(hidden_of(network, 16), (std::vector<std::string>{"block17.expand.conv"}));
}

// conv1 and conv2 of a bottleneck are hidden; the stem's channels go on through the sum.
TEST(Channels, OfABottleneckAreThoseBetweenItsConvolutions) {
  WrittenNetwork w("resnet", {3, 32, 32});
  std::string x = w.conv_norm_act("stem", w.network.input, 16, 3);
  for (const char* name : {"a", "b"}) {
    const std::string block = name;
    std::string y = w.conv_norm_act(block + ".1", x, 8);
    y = w.conv_norm_act(block + ".2", y, 8, 3);
    y = w.conv_norm(block + ".3", y, 16);
    x = w.plain("relu", block + ".relu", {w.plain("add", block + ".add", {y, x})});
  }
  w.classify(x, 5);
  EXPECT_EQ(hidden_of(w.network, 0), (std::vector<std::string>{"a.1.conv", "a.2.conv"}));
  EXPECT_EQ(hidden_of(w.network, 1), (std::vector<std::string>{"b.1.conv", "b.2.conv"}));
  const auto all = channel_groups(w.network);
  EXPECT_EQ(made_by(all, "stem.conv").refusal, "layer a.add (add) takes them together");
}

TEST(Channels, GoThroughPoolsAndActivations) {
  for (const char* op :
       {"relu", "silu", "sigmoid", "hard_sigmoid", "max_pool", "average_pool", "pad"}) {
    const auto all = channel_groups(with_between(op).network);
    EXPECT_EQ(made_by(all, "first").refusal, "") << op;
    EXPECT_EQ(made_by(all, "first").readers, (std::vector<std::string>{"second"})) << op;
  }
}

TEST(Channels, StayWhereOthersAreTakenWithThem) {
  for (const char* op : {"add", "mul", "concat", "space_to_depth", "channel_shuffle"}) {
    const auto all = channel_groups(with_between(op).network);
    EXPECT_EQ(made_by(all, "first").refusal,
              std::string("layer between (") + op + ") takes them together");
  }
}

TEST(Channels, StayWhereAConvolutionTakesThemInGroups) {
  WrittenNetwork w("tiny", {4, 8, 8});
  w.classify(w.conv("last", w.conv("grouped", w.conv("first", w.network.input, 4), 8, 3, 1, 2), 6),
             5);
  const auto all = channel_groups(w.network);
  EXPECT_EQ(made_by(all, "first").refusal, "layer grouped takes them in 2 groups");
  EXPECT_EQ(made_by(all, "grouped").refusal, "layer grouped takes them in 2 groups");
}

TEST(Channels, StayWhereLayersShareAWeight) {
  WrittenNetwork w("tiny", {4, 8, 8});
  std::string x = w.conv("first", w.network.input, 4);
  x = w.plain("relu", "relu", {x});
  x = w.conv("second", x, 4);
  w.network.layers.back().inputs[1] = "first.weight";
  w.classify(w.conv("third", x, 6), 5);
  EXPECT_EQ(made_by(channel_groups(w.network), "first").refusal,
            "several layers read first.weight");
}

TEST(Channels, ThatComeInOrGoOutStay) {
  WrittenNetwork w("tiny", {4, 8, 8});
  const std::string x = w.conv("last", w.depthwise("filter", w.network.input), 6);
  w.network.output = x;
  const auto all = channel_groups(w.network);
  ASSERT_EQ(all.size(), 1u);  // no convolution makes the images'
  EXPECT_EQ(all[0].refusal, "they are what tiny gives");
}

}  // namespace
}  // namespace thimble
