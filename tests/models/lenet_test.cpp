#include "models/zoo.h"
#include "support/expect_error.h"

namespace thimble {
namespace {

TEST(Lenet, HasTheWeightsOfLenet5) { EXPECT_EQ(parameters("lenet"), 61706); }

TEST(Lenet, KeepsThePapersSizes) {
  const Graph graph = build_model("lenet");
  EXPECT_EQ(layer_shape(graph, "conv1"), (Shape{64, 6, 28, 28}));
  EXPECT_EQ(layer_shape(graph, "pool1"), (Shape{64, 6, 14, 14}));
  EXPECT_EQ(layer_shape(graph, "conv2"), (Shape{64, 16, 10, 10}));
  EXPECT_EQ(layer_shape(graph, "flatten"), (Shape{64, 400}));
  EXPECT_EQ(layer_shape(graph, "fc1.weight"), (Shape{120, 400}));
  EXPECT_EQ(layer_shape(graph, "logits"), (Shape{64, 10}));
}

TEST(Lenet, Builds) { check_zoo_model("lenet", 28); }

TEST(Lenet, TakesImagesFromTwelvePixels) {
  EXPECT_EQ(layer_shape(build_model("lenet", {.height = 12}), "flatten"), (Shape{64, 16}));
  expect_user_error([] { build_model("lenet", {.height = 11}); },
                    "model lenet: images of 11x11 pixels are too small, needs at least 12x12");
}

TEST(Lenet, ScalesItsLayers) {
  EXPECT_EQ(parameters("lenet", {.width = 0.25}), 4157);
  EXPECT_EQ(parameters("lenet", {.width = 0.01}), 100);
}

TEST(Lenet, TakesColourAndManyClasses) {
  EXPECT_EQ(parameters("lenet", {.channels = 3}), 61706 + 2 * 6 * 25);
  EXPECT_EQ(parameters("lenet", {.classes = 26}), 61706 + 16 * 85);
}

}  // namespace
}  // namespace thimble
