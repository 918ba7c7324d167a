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
  for (const LayerProfile& layer : profile(options)) parameters += layer.parameters;
  EXPECT_EQ(parameters, 61706);
}

TEST(Profile, AConvolutionsBackwardIsTwiceItsForwardButForTheFirst) {
  TrainOptions options;
  options.model.name = "lenet";
  options.model.batch = 2;
  options.threads = 1;
  const std::vector<LayerProfile> layers = profile(options);
  EXPECT_EQ(layers[0].name, "conv1");
  EXPECT_EQ(layers[0].forward_flops, 2 * 2 * 6 * 28 * 28 * 25);
  EXPECT_EQ(layers[0].backward_flops, layers[0].forward_flops);
  EXPECT_EQ(layers[3].name, "conv2");
  EXPECT_EQ(layers[3].forward_flops, 2 * 2 * 16 * 10 * 10 * 6 * 25);
  EXPECT_EQ(layers[3].backward_flops, 2 * layers[3].forward_flops);
}

}  // namespace
}  // namespace thimble
