#include "models/zoo.h"
#include "support/expect_error.h"

namespace thimble {
namespace {

TEST(Resnet50, HasTheUsualNumberOfWeights) {
  EXPECT_EQ(parameters("resnet50"), 23524424);
  EXPECT_EQ(parameters("resnet50", {.classes = 1000}), 25557032);  // torchvision
}

TEST(Resnet50, StagesHalveTheImage) {
  const Graph graph = build_model("resnet50", {.batch = 2});
  EXPECT_EQ(layer_shape(graph, "stem.norm"), (Shape{2, 64, 112, 112}));
  EXPECT_EQ(layer_shape(graph, "stem.pool"), (Shape{2, 64, 56, 56}));
  EXPECT_EQ(layer_shape(graph, "stage1.block3.norm3"), (Shape{2, 256, 56, 56}));
  EXPECT_EQ(layer_shape(graph, "stage2.block4.norm3"), (Shape{2, 512, 28, 28}));
  EXPECT_EQ(layer_shape(graph, "stage3.block6.norm3"), (Shape{2, 1024, 14, 14}));
  EXPECT_EQ(layer_shape(graph, "stage4.block3.norm3"), (Shape{2, 2048, 7, 7}));
  EXPECT_EQ(layer_shape(graph, "flatten"), (Shape{2, 2048}));
}

TEST(Resnet50, HalvesInTheFirstConvolutionUnlessAskedOtherwise) {
  const std::string layer = "stage2.block1.conv1";
  EXPECT_EQ(layer_shape(build_model("resnet50", {.batch = 1}), layer), (Shape{1, 128, 28, 28}));
  const ModelOptions v1_5 = {.batch = 1, .variants = {{"stride_in", "3x3"}}};
  EXPECT_EQ(layer_shape(build_model("resnet50", v1_5), layer), (Shape{1, 128, 56, 56}));
  EXPECT_EQ(parameters("resnet50", v1_5), 23524424);
}

TEST(Resnet50, Builds) {
  check_zoo_model("resnet50", 64);
  check_zoo_model("resnet50", 8);
}

TEST(Resnet50, NormsHaveTheSameWeights) { check_norms("resnet50", 53); }

TEST(Resnet50, ScalesItsChannels) {
  EXPECT_EQ(parameters("resnet50", {.channels = 1, .width = 0.25}), 1483512);
}

TEST(Resnet50, NamesTheValuesOfStrideIn) {
  expect_user_error(
      [] {
        build_model("resnet50", {.variants = {{"stride_in", "2x2"}}});
      },
      "model resnet50: option stride_in cannot be '2x2'; did you mean '1x1'? There are: 1x1, 3x3");
}

}  // namespace
}  // namespace thimble
