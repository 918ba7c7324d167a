#include "models/trained_channels.h"

#include <gtest/gtest.h>

#include "models/small_network.h"
#include "models/trained.h"
#include "support/expect_error.h"

namespace thimble {
namespace {

Graph trained(const std::string& rules) {
  return with_trained(graph_of(small_network(5), small_options(5)), rules);
}

ChannelRange part(const std::string& rules, const std::string& name) {
  const Graph graph = trained(rules);
  verify(graph);
  const Tensor& tensor = graph.tensor(graph.find(name));
  EXPECT_TRUE(tensor.trainable) << name;
  return tensor.trained_part;
}

TEST(TrainedChannels, OfADenseConvolutionAndALinearLayerAreWhatGoesIn) {
  EXPECT_EQ(part("project.weight[2:5]", "project.weight"), (ChannelRange{1, 2, 3}));
  EXPECT_EQ(part("stem.weight[1:3]", "stem.weight"), (ChannelRange{1, 1, 2}));
  EXPECT_EQ(part("fc.weight[0:7]", "fc.weight"), (ChannelRange{1, 0, 7}));
}

TEST(TrainedChannels, OfDepthwiseConvolutionsBiasesAndNormsAreTheLayersOwn) {
  EXPECT_EQ(part("deep.weight[3:8]", "deep.weight"), (ChannelRange{0, 3, 5}));
  EXPECT_EQ(part("fc.bias[4:5]", "fc.bias"), (ChannelRange{0, 4, 1}));
  EXPECT_EQ(part("deep_norm.weight[0:2]", "deep_norm.weight"), (ChannelRange{0, 0, 2}));
}

TEST(TrainedChannels, AShareIsRoundedUp) {
  EXPECT_EQ(part("fc.weight[1/4]", "fc.weight"), (ChannelRange{1, 0, 2}));
  EXPECT_EQ(part("fc.weight[1/3]", "fc.weight"), (ChannelRange{1, 0, 3}));
  EXPECT_EQ(part("fc.weight[1/1000]", "fc.weight"), (ChannelRange{1, 0, 1}));
  EXPECT_EQ(part("stem.weight[2/3]", "stem.weight"), (ChannelRange{1, 0, 2}));
}

TEST(TrainedChannels, AllOfThemAreTheWhole) {
  EXPECT_EQ(part("fc.weight[0:8]", "fc.weight"), ChannelRange{});
  EXPECT_EQ(part("fc.weight[8/8]", "fc.weight"), ChannelRange{});
}

TEST(TrainedChannels, OfSeveralRulesTheLastHolds) {
  EXPECT_EQ(part("all, deep*[1/2]", "deep_norm.bias"), (ChannelRange{0, 0, 4}));
  EXPECT_EQ(part("all, deep*[1/2]", "stem.weight"), ChannelRange{});
  EXPECT_EQ(part("deep*[1/2], all", "deep.weight"), ChannelRange{});
  EXPECT_EQ(part("last:2[1/4]", "project.weight"), (ChannelRange{1, 0, 2}));
  const Graph without = trained("*.weight[1/4], !stem*");
  const Tensor& stem = without.tensor(without.find("stem.weight"));
  EXPECT_FALSE(stem.trainable);
  EXPECT_EQ(stem.trained_part, ChannelRange{});
}

TEST(TrainedChannels, OfAStandardisedWeightAreThoseOfItsLayer) {
  GraphBuilder b("standardised");
  const TensorId weight =
      b.graph().add_tensor({"conv.weight", {4, 6, 1, 1}, ElementType::f32, Role::weight, {}, true});
  const TensorId made = b.layer("standardize_weights", "standard", {weight});
  b.layer("conv2d", "conv", {b.images({1, 6, 2, 2}), made}, {{"out_channels", int64_t{4}}});
  const Graph graph = with_trained(b.graph(), "conv.weight[1/2]");
  EXPECT_EQ(graph.tensor(weight).trained_part, (ChannelRange{1, 0, 3}));
}

TEST(TrainedChannels, SaysWhatIsNoRange) {
  const std::string needed = ", needed [FIRST:END] or [SHARE/OF] at the end, such as [0:16] or ";
  for (const char* rule :
       {"fc.weight[", "fc.weight[]", "fc.weight[3]", "fc.weight[a:b]", "fc.weight[0:-1]",
        "fc.weight[0:2", "fc.weight]", "fc[0:2]weight", "fc.weight[1:]", "fc.weight[1/2/3]",
        "fc.weight[99999999999999999999:1]"}) {
    expect_user_error([&] { trained(rule); }, str_cat("train: '", rule, "'", needed));
  }
  expect_user_error([] { trained("fc.weight[4:4]"); },
                    "train: 'fc.weight[4:4]', needed a range that is not empty");
  expect_user_error([] { trained("fc.weight[5:4]"); }, "needed a range that is not empty");
  expect_user_error([] { trained("fc.weight[0/4]"); }, "needed a share above 0, of at most 1");
  expect_user_error([] { trained("fc.weight[5/4]"); }, "needed a share above 0, of at most 1");
}

TEST(TrainedChannels, SaysWhatHasNoSuchChannels) {
  expect_user_error([] { trained("all, fc.weight[6:9]"); },
                    "train: 'fc.weight[6:9]', but fc.weight has 8 channels");
  expect_user_error([] { trained("nothing[1/2]"); }, "train: 'nothing[1/2]' names no weight");
  expect_user_error([] { trained("all, !fc.weight[1/2]"); },
                    "train: '!fc.weight[1/2]' takes out a part; name the part that is trained");
}

TEST(TrainedChannels, SaysWhichConvolutionsHaveNone) {
  GraphBuilder b("grouped");
  b.layer("conv2d", "conv", {b.images({1, 8, 2, 2})},
          {{"out_channels", int64_t{8}}, {"groups", int64_t{2}}});
  expect_user_error([&] { with_trained(b.graph(), "conv.weight[0:2]"); },
                    "train: 'conv.weight[0:2]' names a part of conv.weight, whose convolution has "
                    "2 groups; needed a dense or a depthwise one, or all of it");
  EXPECT_TRUE(with_trained(b.graph(), "conv.weight").tensor(1).trainable);
}

}  // namespace
}  // namespace thimble
