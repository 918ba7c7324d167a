#include "models/model.h"

#include <gtest/gtest.h>

#include "models/blocks.h"
#include "support/expect_error.h"

namespace thimble {
namespace {

TEST(Models, AreListedByName) {
  std::vector<std::string> names;
  for (const Model* model : models()) names.push_back(model->name);
  EXPECT_EQ(names,
            (std::vector<std::string>{"hybrid_reversible", "irevnet", "layerwise_invertible",
                                      "lenet", "mobilenet_v1", "mobilenet_v1_patch", "mobilenet_v2",
                                      "resnet18_cifar", "resnet50", "revnet18"}));
}

TEST(Models, UnknownNameNamesTheNearest) {
  expect_user_error([] { build_model("resnet5"); },
                    "there is no model called 'resnet5'; did you mean 'resnet50'? There are: "
                    "hybrid_reversible, irevnet, layerwise_invertible, lenet,");
  expect_user_error([] { build_model("x"); }, "called 'x'; There are: hybrid_reversible");
}

TEST(Models, ResolveFillsInWhatIsZero) {
  const ModelOptions o = resolve_options(find_model("resnet50"), {});
  EXPECT_EQ(o.batch, 32);
  EXPECT_EQ(o.channels, 3);
  EXPECT_EQ(o.height, 224);
  EXPECT_EQ(o.width_px, 224);
  EXPECT_EQ(o.classes, 8);
  EXPECT_EQ(o.variants.at("stride_in"), "1x1");
}

TEST(Models, OneSideAloneMeansSquareImages) {
  EXPECT_EQ(resolve_options(find_model("lenet"), {.height = 40}).width_px, 40);
  EXPECT_EQ(resolve_options(find_model("lenet"), {.width_px = 40}).height, 40);
  EXPECT_EQ(resolve_options(find_model("lenet"), {.height = 20, .width_px = 40}).height, 20);
}

TEST(Models, BadValuesSayWhatIsNeeded) {
  expect_user_error([] { build_model("lenet", {.batch = -1}); },
                    "model lenet: batch is -1, needs a positive number (0: 64)");
  expect_user_error([] { build_model("lenet", {.width = 0}); },
                    "model lenet: width multiplier is 0, needs a number above 0, at most 16");
  expect_user_error([] { build_model("resnet50", {.norm = "grup"}); },
                    "there is no norm called 'grup'; did you mean 'group'? There are: batch, ");
  expect_user_error([] { build_model("resnet50", {.label_smoothing = 1}); },
                    "label smoothing is 1, needs a number from 0 up to 1");
  expect_user_error(
      [] {
        build_model("resnet50", {.variants = {{"stride", "1x1"}}});
      },
      "model resnet50 has no option 'stride'; did you mean 'stride_in'?");
  expect_user_error(
      [] {
        build_model("lenet", {.variants = {{"dropout", "0.2"}}});
      },
      "model lenet has no option 'dropout'; there are none");
}

TEST(Models, BatchNormOfOnePixelIsRefusedWithTheModelsName) {
  expect_user_error([] { build_model("resnet18_cifar", {.batch = 1, .height = 8}); },
                    "model resnet18_cifar, batch 1 of 3x8x8 images: batch_norm: src (1, 512,");
  build_model("resnet18_cifar", {.batch = 1, .height = 8, .norm = "group"});
}

TEST(Models, ScaledChannelsAreMultiplesOfEight) {
  EXPECT_EQ(scaled(32, 1), 32);
  EXPECT_EQ(scaled(32, 0.75), 24);
  EXPECT_EQ(scaled(24, 0.75), 24);  // 16 would be 10% under
  EXPECT_EQ(scaled(32, 0.01), 8);
  EXPECT_EQ(scaled(1280, 1.4), 1792);
}

}  // namespace
}  // namespace thimble
