#include "models/zoo.h"

namespace thimble {
namespace {

TEST(Resnet18Cifar, HasTheUsualNumberOfWeights) {
  EXPECT_EQ(parameters("resnet18_cifar"), 11173962);
}

TEST(Resnet18Cifar, StagesHalveTheImage) {
  const Graph graph = build_model("resnet18_cifar", {.batch = 4});
  EXPECT_EQ(layer_shape(graph, "stem.norm"), (Shape{4, 64, 32, 32}));
  EXPECT_EQ(layer_shape(graph, "stage1.block2.norm2"), (Shape{4, 64, 32, 32}));
  EXPECT_EQ(layer_shape(graph, "stage2.block2.norm2"), (Shape{4, 128, 16, 16}));
  EXPECT_EQ(layer_shape(graph, "stage3.block2.norm2"), (Shape{4, 256, 8, 8}));
  EXPECT_EQ(layer_shape(graph, "stage4.block2.norm2"), (Shape{4, 512, 4, 4}));
}

TEST(Resnet18Cifar, Builds) {
  check_zoo_model("resnet18_cifar", 32);
  check_zoo_model("resnet18_cifar", 16);
}

TEST(Resnet18Cifar, NormsHaveTheSameWeights) { check_norms("resnet18_cifar", 20); }

TEST(Resnet18Cifar, JoinsBlocksInTheNorm) {
  for (const char* norm : {"batch", "group"}) {
    const Graph graph = build_model("resnet18_cifar", {.norm = norm});
    int64_t joins = 0;
    for (const Node& node : graph.nodes) {
      joins += node.op == str_cat(norm, "_norm") && node.inputs[1] != kNoTensor;
    }
    EXPECT_EQ(joins, 8) << norm;
  }
}

// What transforms/invert.h needs; the same weights as with ReLU.
TEST(Resnet18Cifar, TakesLeakyReluWithAFloorUnderItsNorms) {
  const ModelOptions leaky = {.variants = {{"activation", "leaky_relu"}}};
  EXPECT_EQ(parameters("resnet18_cifar", leaky), 11173962);
  int64_t activated = 0;
  for (const Node& node : build_model("resnet18_cifar", leaky).nodes) {
    if (node.op != "batch_norm") continue;
    const bool is_leaky = node.attributes.text("activation") == "leaky_relu";
    activated += is_leaky;
    EXPECT_EQ(node.attributes.real("scale_floor"), is_leaky ? 0.1 : 0) << node.name;
  }
  EXPECT_EQ(activated, 17);
}

TEST(Resnet18Cifar, ScalesItsChannels) {
  EXPECT_EQ(parameters("resnet18_cifar", {.channels = 1, .width = 0.25}), 701178);
}

}  // namespace
}  // namespace thimble
