#include "models/zoo.h"

namespace thimble {
namespace {

TEST(MobilenetV1Patch, HasTheSourcesNumberOfWeights) {
  EXPECT_EQ(parameters("mobilenet_v1_patch"), 1871176);
}

TEST(MobilenetV1Patch, HasTheSourcesShapes) {
  const Graph graph = build_model("mobilenet_v1_patch");
  EXPECT_EQ(layer_shape(graph, "images"), (Shape{49, 3, 32, 32}));
  EXPECT_EQ(layer_shape(graph, "stem.norm"), (Shape{49, 32, 32, 32}));
  EXPECT_EQ(layer_shape(graph, "block1.pointwise.norm"), (Shape{49, 64, 32, 32}));
  EXPECT_EQ(layer_shape(graph, "block3.pointwise.norm"), (Shape{49, 128, 16, 16}));
  EXPECT_EQ(layer_shape(graph, "block5.pointwise.norm"), (Shape{49, 256, 8, 8}));
  EXPECT_EQ(layer_shape(graph, "block6.pointwise.norm"), (Shape{49, 512, 4, 4}));
  EXPECT_EQ(layer_shape(graph, "block8.pointwise.norm"), (Shape{49, 1024, 4, 4}));
}

TEST(MobilenetV1Patch, Builds) {
  check_zoo_model("mobilenet_v1_patch", 32);
  check_zoo_model("mobilenet_v1_patch", 8);
}

TEST(MobilenetV1Patch, NormsHaveTheSameWeights) { check_norms("mobilenet_v1_patch", 17); }

TEST(MobilenetV1Patch, ScalesItsChannels) {
  EXPECT_EQ(parameters("mobilenet_v1_patch", {.channels = 1, .width = 0.25}), 124744);
}

}  // namespace
}  // namespace thimble
