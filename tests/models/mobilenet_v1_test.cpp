#include "models/zoo.h"

namespace thimble {
namespace {

TEST(MobilenetV1, HasTheUsualNumberOfWeights) {
  EXPECT_EQ(parameters("mobilenet_v1"), 3215176);
  EXPECT_EQ(parameters("mobilenet_v1", {.classes = 1000}), 4231976);
}

TEST(MobilenetV1, HasTheSourcesShapes) {
  const Graph graph = build_model("mobilenet_v1", {.batch = 2});
  EXPECT_EQ(layer_shape(graph, "stem.norm"), (Shape{2, 32, 112, 112}));
  EXPECT_EQ(layer_shape(graph, "block1.pointwise.norm"), (Shape{2, 64, 112, 112}));
  EXPECT_EQ(layer_shape(graph, "block2.depthwise.norm"), (Shape{2, 64, 56, 56}));
  EXPECT_EQ(layer_shape(graph, "block5.pointwise.norm"), (Shape{2, 256, 28, 28}));
  EXPECT_EQ(layer_shape(graph, "block11.pointwise.norm"), (Shape{2, 512, 14, 14}));
  EXPECT_EQ(layer_shape(graph, "block13.pointwise.norm"), (Shape{2, 1024, 7, 7}));
  EXPECT_EQ(layer_shape(graph, "block13.depthwise.conv.weight"), (Shape{1024, 1, 3, 3}));
}

TEST(MobilenetV1, Builds) {
  check_zoo_model("mobilenet_v1", 64);
  check_zoo_model("mobilenet_v1", 32);
}

TEST(MobilenetV1, NormsHaveTheSameWeights) { check_norms("mobilenet_v1", 27); }

TEST(MobilenetV1, ScalesItsChannels) {
  EXPECT_EQ(parameters("mobilenet_v1", {.channels = 1, .width = 0.25}), 214984);
  EXPECT_EQ(parameters("mobilenet_v1", {.classes = 1000, .width = 0.5}), 1331592);
}

}  // namespace
}  // namespace thimble
