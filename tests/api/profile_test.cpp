#include <gtest/gtest.h>

#include "thimble/thimble.h"

namespace thimble {
namespace {

// Layers with reordered copies of their inputs too: lenet's few channels lie channels last.
TEST(Profile, CountsEachParameterOnceWhateverTheLayout) {
  TrainOptions options;
  options.model.name = "lenet";
  options.model.batch = 2;
  options.threads = 1;
  int64_t parameters = 0;
  for (const LayerProfile& layer : profile(options).layers) parameters += layer.parameters;
  EXPECT_EQ(parameters, 61706);
}

TEST(Profile, AConvolutionsBackwardIsTwiceItsForwardButForTheFirst) {
  TrainOptions options;
  options.model.name = "lenet";
  options.model.batch = 2;
  options.threads = 1;
  const std::vector<LayerProfile> layers = profile(options).layers;
  EXPECT_EQ(layers[0].name, "conv1");
  EXPECT_EQ(layers[0].forward_flops, 2 * 2 * 6 * 28 * 28 * 25);
  EXPECT_EQ(layers[0].backward_flops, layers[0].forward_flops);
  EXPECT_EQ(layers[3].name, "conv2");
  EXPECT_EQ(layers[3].forward_flops, 2 * 2 * 16 * 10 * 10 * 6 * 25);
  EXPECT_EQ(layers[3].backward_flops, 2 * layers[3].forward_flops);
}

// As twice the batch says; the smallest plan of a network that can be inverted grows by much less.
TEST(Profile, SaysHowTheArenaGrowsWithThePixels) {
  TrainOptions options;
  options.model.name = "irevnet";
  options.model.width = 0.25;
  options.model.batch = 8;
  options.threads = 1;
  const double all = profile(options).arena_bytes_per_pixel;
  const PlanReport kept = plan(options);
  options.model.batch = 16;
  const double pixels = 8 * 32 * 32;
  EXPECT_NEAR(all, static_cast<double>(plan(options).arena_bytes - kept.arena_bytes) / pixels, 1);
  options.model.batch = 8;
  options.budget_bytes = 1;
  const double smallest = profile(options).arena_bytes_per_pixel;
  EXPECT_LT(smallest, all / 3);
  EXPECT_GT(smallest, 8 * 4 * 2);  // the map of 8 channels and its gradient
}

TEST(Profile, CountsThePixelsOfPatches) {
  TrainOptions options;
  options.model.name = "mobilenet_v1_patch";
  options.model.width = 0.25;
  options.model.batch = 2;
  options.threads = 1;
  const double whole = profile(options).arena_bytes_per_pixel;
  options.patches = {64, 64, 0, "each"};
  EXPECT_NEAR(profile(options).arena_bytes_per_pixel, whole, 0.1 * whole);
}

}  // namespace
}  // namespace thimble
