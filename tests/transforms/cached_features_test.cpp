#include "transforms/cached_features.h"

#include <gtest/gtest.h>

#include <set>

#include "models/network.h"
#include "models/side_network.h"
#include "models/trained.h"
#include "support/expect_error.h"
#include "transforms/fixtures.h"
#include "transforms/microbatch.h"

namespace thimble {
namespace {

using transforms_test::small_net;
using transforms_test::training_graph;

constexpr int64_t kBatch = 4;

Graph mobile_net(const std::string& rules, const std::string& norm = "frozen",
                 const std::map<std::string, std::string>& variants = {}) {
  return with_trained(small_net("mobilenet_v2", kBatch, norm, variants), rules);
}

std::vector<std::string> ops_of(const Graph& graph) {
  std::vector<std::string> ops;
  for (const Node& node : graph.nodes) ops.push_back(node.op);
  return ops;
}

TEST(CachedFeatures, OfATrainedHeadAreWhatItReads) {
  const Graph forward = mobile_net("head");
  const std::string features = find_features(forward);
  const Graph behind = behind_features(forward, features);
  EXPECT_EQ(ops_of(behind), (std::vector<std::string>{"linear", "softmax_cross_entropy"}));
  EXPECT_EQ(behind.nodes[0].inputs[0], behind.find(kCachedFeatures));
  EXPECT_EQ(behind.tensor(behind.find(kCachedFeatures)).role, Role::data);
  EXPECT_EQ(behind.find("images"), kNoTensor);
}

TEST(CachedFeatures, WeightsInFrontStayAndAreNotRead) {
  const Graph forward = mobile_net("head");
  const std::string features = find_features(forward);
  const Graph behind = behind_features(forward, features);
  const std::vector<std::string> frozen = weights_before(forward, features);
  for (const Tensor& t : forward.tensors) {
    if (t.role != Role::weight && t.role != Role::statistic) continue;
    EXPECT_EQ(behind.tensor(behind.find(t.name)), t) << t.name;
    EXPECT_EQ(std::count(frozen.begin(), frozen.end(), t.name), t.trainable ? 0 : 1) << t.name;
  }
  for (const Node& node : behind.nodes) {
    for (TensorId t : node.inputs) {
      if (t == kNoTensor) continue;
      EXPECT_EQ(std::count(frozen.begin(), frozen.end(), behind.tensor(t).name), 0);
    }
  }
}

// Layers that are trained may stand within a block, whose residual passes by them: then the block
// begins behind the features.
TEST(CachedFeatures, OfTheLastLayersAreOneTensorThatAllOfThemComeFrom) {
  for (int layers = 1; layers <= 8; ++layers) {
    const Graph forward = mobile_net(str_cat("last:", layers));
    const Graph behind = behind_features(forward, find_features(forward));
    EXPECT_EQ(behind.find("images"), kNoTensor);
    EXPECT_LT(behind.nodes.size(), forward.nodes.size() / 2) << layers;
    std::set<std::string> trained, wanted;
    for (const Node& node : behind.nodes) {
      for (TensorId t : node.inputs) {
        if (t != kNoTensor && behind.tensor(t).trainable) trained.insert(behind.tensor(t).name);
      }
    }
    for (const Tensor& t : forward.tensors) {
      if (t.trainable) wanted.insert(t.name);
    }
    EXPECT_EQ(trained, wanted) << layers;
  }
}

TEST(CachedFeatures, DropoutIsBehindThem) {
  const Graph forward = mobile_net("head", "frozen", {{"dropout", "0.2"}});
  EXPECT_EQ(ops_of(behind_features(forward, find_features(forward))),
            (std::vector<std::string>{"dropout", "linear", "softmax_cross_entropy"}));
}

TEST(CachedFeatures, AreOfTheSameNumberOfExamplesAsTheBatch) {
  const Graph forward = mobile_net("head");
  const std::string features = find_features(forward);
  const Graph two = behind_features(with_batch(forward, 2), features);
  EXPECT_EQ(two.tensor(two.find(kCachedFeatures)).shape[0], 2);
  EXPECT_EQ(find_features(with_batch(forward, 2)), features);
}

TEST(CachedFeatures, AreRefusedWhereSomethingInFrontIsTrained) {
  expect_user_error([] { find_features(small_net("mobilenet_v2", kBatch, "frozen")); },
                    "stem.conv.weight is trained, in the layer stem.conv that reads images, so "
                    "that no frozen layer stands in front");
  // Of biases the first is behind one convolution.
  expect_user_error([] { find_features(mobile_net("bias,head")); }, "stem.norm.bias is trained");
  expect_user_error([] { find_features(mobile_net("bias,head")); }, "of the forward pass");
}

TEST(CachedFeatures, AreRefusedWhereAFrozenLayerTakesStatisticsOfTheBatch) {
  Graph forward = small_net("mobilenet_v2", kBatch, "batch");
  for (Tensor& t : forward.tensors) t.trainable = t.trainable && t.name.starts_with("classifier");
  expect_user_error([&] { find_features(forward); },
                    "the layer stem.norm (batch_norm) computes another thing in training");
}

TEST(CachedFeatures, AreRefusedWhereANetworkBesideReadsThePictures) {
  ModelOptions options;
  options.batch = kBatch;
  options.width = 0.35;
  options.height = options.width_px = 64;
  options.norm = "frozen";
  const Graph plain = build_model("mobilenet_v2", options);
  const Network side =
      with_side(network_of(plain, resolve_options(find_model("mobilenet_v2"), options)), "rep-net",
                {3, 64, 64});
  options.width = 1;
  const Graph forward = with_trained(build_model(model_of(side), options), "side,head");
  expect_user_error([&] { find_features(forward); }, "side.");
}

// What evaluation leaves in the tensor, read by what is trained, ends in the bits of the whole.
TEST(CachedFeatures, TrainToTheBitsOfTheWholeNetwork) {
  for (const char* rules : {"head", "last:4"}) {
    const Graph forward = mobile_net(rules);
    const std::string features = find_features(forward);
    const Graph whole = training_graph(forward);
    const Graph behind = training_graph(behind_features(forward, features));
    const Values inputs = draw_inputs(whole, 5);
    const auto give = [&](ArenaRun& run, const Graph& graph) {
      for (size_t t = 0; t < whole.tensors.size(); ++t) {
        const TensorId to = graph.find(whole.tensors[t].name);
        if (!inputs[t].empty() && to != kNoTensor) run.set(to, inputs[t]);
      }
    };
    const Graph evaluation = keeping_features(inference_graph(forward), features);
    ArenaRun frozen(evaluation, "portable");
    give(frozen, evaluation);
    frozen.run();
    ArenaRun all(whole, "portable"), last(behind, "portable");
    give(all, whole);
    give(last, behind);
    last.set(behind.find(kCachedFeatures), frozen.get(evaluation.find(kCachedFeatures)));
    for (int step = 0; step < 3; ++step) {
      all.run();
      last.run();
    }
    EXPECT_GT(last.arena().touched_bytes(), last.plan().arena_bytes - kAlignment);
    EXPECT_LT(last.plan().arena_bytes, all.plan().arena_bytes);
    for (const Tensor& t : whole.tensors) {
      if (!is_persistent(t.role) || t.role == Role::data) continue;
      EXPECT_EQ(last.bytes(behind.find(t.name)), all.bytes(whole.find(t.name))) << t.name;
    }
  }
}

}  // namespace
}  // namespace thimble
