#include <gtest/gtest.h>

#include "runtime/fixtures.h"
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

// What decodes pictures is there whatever the batch.
TEST(Profile, GrowsAsMuchWithData) {
  const cli_test::TempDir dir;
  runtime_test::write_bars(dir / "data", 40, 10);
  TrainOptions options;
  options.model.name = "lenet";
  options.model.batch = 8;
  options.threads = 1;
  options.model.channels = 1;
  options.model.height = options.model.width_px = 28;
  const double alone = profile(options).arena_bytes_per_pixel;
  options.data.path = dir / "data";
  EXPECT_NEAR(profile(options).arena_bytes_per_pixel, alone, 0.01);
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

// The bars of arXiv 1910.11127, pictures included, whatever the depth: 32 channels, f32, batch
// norm.
TEST(Profile, OfReversibleNetworksTheArenaGrowsByFewBytesAtEveryDepth) {
  const auto bytes = [](const char* model, const char* depth) {
    TrainOptions options;
    options.model.name = model;
    options.model.variants["depth"] = depth;
    options.model.batch = 128;
    options.threads = 1;
    options.budget_bytes = 1;
    options.min_snr_db = -1;
    options.without = {"recompute", "microbatch", "row_bands"};
    return profile(options).arena_bytes_per_pixel;
  };
  const double layers = bytes("layerwise_invertible", "4");
  EXPECT_LE(layers, 320);
  EXPECT_NEAR(bytes("layerwise_invertible", "24"), layers, 0.01 * layers);
  const double hybrid = bytes("hybrid_reversible", "4");
  EXPECT_LE(hybrid, 352);
  EXPECT_NEAR(bytes("hybrid_reversible", "24"), hybrid, 0.01 * hybrid);
}

}  // namespace
}  // namespace thimble
