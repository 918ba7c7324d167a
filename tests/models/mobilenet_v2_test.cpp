#include "models/zoo.h"
#include "support/expect_error.h"

namespace thimble {
namespace {

TEST(MobilenetV2, HasTorchvisionsNumberOfWeights) {
  EXPECT_EQ(parameters("mobilenet_v2"), 3504872);
}

TEST(MobilenetV2, StagesHalveTheImage) {
  const Graph graph = build_model("mobilenet_v2", {.batch = 2});
  EXPECT_EQ(layer_shape(graph, "stem.norm"), (Shape{2, 32, 112, 112}));
  EXPECT_EQ(layer_shape(graph, "block1.project.norm"), (Shape{2, 16, 112, 112}));
  EXPECT_EQ(layer_shape(graph, "block2.expand.norm"), (Shape{2, 96, 112, 112}));
  EXPECT_EQ(layer_shape(graph, "block3.project.norm"), (Shape{2, 24, 56, 56}));
  EXPECT_EQ(layer_shape(graph, "block6.project.norm"), (Shape{2, 32, 28, 28}));
  EXPECT_EQ(layer_shape(graph, "block13.project.norm"), (Shape{2, 96, 14, 14}));
  EXPECT_EQ(layer_shape(graph, "block17.project.norm"), (Shape{2, 320, 7, 7}));
  EXPECT_EQ(layer_shape(graph, "head.norm"), (Shape{2, 1280, 7, 7}));
}

TEST(MobilenetV2, Builds) {
  check_zoo_model("mobilenet_v2", 64);
  check_zoo_model("mobilenet_v2", 32);
}

TEST(MobilenetV2, NormsHaveTheSameWeights) { check_norms("mobilenet_v2", 52); }

TEST(MobilenetV2, JoinsTenBlocksWithoutActivation) {
  int64_t joins = 0;
  for (const Node& node : build_model("mobilenet_v2").nodes) {
    if (node.op != "batch_norm" || node.inputs[1] == kNoTensor) continue;
    EXPECT_EQ(node.attributes.text("activation"), "none") << node.name;
    ++joins;
  }
  EXPECT_EQ(joins, 10);
}

TEST(MobilenetV2, KeepsTheLastLayerInNarrowNets) {
  const Graph narrow = build_model("mobilenet_v2", {.width = 0.35});
  EXPECT_EQ(layer_shape(narrow, "fc.weight"), (Shape{1000, 1280}));
  EXPECT_EQ(layer_shape(narrow, "stem.conv.weight"), (Shape{16, 3, 3, 3}));
  EXPECT_EQ(trainable_parameters(narrow), 1677128);
  EXPECT_EQ(parameters("mobilenet_v2", {.width = 1.4}), 6108776);
}

TEST(MobilenetV2, DropsOutOnlyWhenAsked) {
  EXPECT_EQ(count_ops(build_model("mobilenet_v2"), "dropout"), 0);
  const ModelOptions torchvision = {.variants = {{"dropout", "0.2"}}};
  EXPECT_EQ(count_ops(build_model("mobilenet_v2", torchvision), "dropout"), 1);
  expect_user_error(
      [] {
        build_model("mobilenet_v2", {.variants = {{"dropout", "1"}}});
      },
      "model mobilenet_v2: option dropout is '1', needs a number from 0 up to 1");
}

}  // namespace
}  // namespace thimble
