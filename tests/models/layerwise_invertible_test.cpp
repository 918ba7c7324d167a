#include <algorithm>

#include "models/zoo.h"
#include "support/expect_error.h"

namespace thimble {
namespace {

ModelOptions of_depth(const std::string& depth) { return {.variants = {{"depth", depth}}}; }

TEST(LayerwiseInvertible, HasTwoConvolutionsALayer) {
  // Stems; two layers each of halves of 16, 64 and 256 channels; classifier.
  EXPECT_EQ(
      parameters("layerwise_invertible"),
      928 + 4 * (9 * 16 * 16 + 32) + 4 * (9 * 64 * 64 + 128) + 4 * (9 * 256 * 256 + 512) + 5130);
  EXPECT_EQ(count_ops(build_model("layerwise_invertible"), "conv2d"), 2 + 12);
}

TEST(LayerwiseInvertible, PoolsAfterEachThird) {
  const Graph graph = build_model("layerwise_invertible", {.batch = 2});
  EXPECT_EQ(layer_shape(graph, "layer2.norm2"), (Shape{2, 16, 32, 32}));
  EXPECT_EQ(layer_shape(graph, "layer4.norm1"), (Shape{2, 64, 16, 16}));
  EXPECT_EQ(layer_shape(graph, "layer6.norm1"), (Shape{2, 256, 8, 8}));
}

TEST(LayerwiseInvertible, HasAnyDepth) {
  for (const char* depth : {"1", "2", "3", "64"}) {
    const Graph graph = build_model("layerwise_invertible", of_depth(depth));
    EXPECT_EQ(count_ops(graph, "add"), 2 * std::stoi(depth));
    const int64_t pools = std::min(std::stoi(depth) - 1, 2);
    EXPECT_EQ(count_ops(graph, "space_to_depth"), 2 * pools);
  }
  for (const char* depth : {"0", "2.5", "257", "x", "-1", "nan"}) {
    expect_user_error([&] { build_model("layerwise_invertible", of_depth(depth)); },
                      str_cat("option depth is '", depth, "', needs a whole number from 1 to 256"));
  }
}

TEST(LayerwiseInvertible, TakesASlope) {
  for (const char* slope : {"0.5", "0.05"}) {
    for (const Node& node :
         build_model("layerwise_invertible", {.variants = {{"slope", slope}}}).nodes) {
      if (node.op != "batch_norm") continue;
      EXPECT_EQ(node.attributes.real("slope"), std::stod(slope));
      EXPECT_EQ(node.attributes.real("scale_floor"), 0.1);
    }
  }
  expect_user_error(
      [] {
        build_model("layerwise_invertible", {.variants = {{"slope", "0"}}});
      },
      "option slope is 0, needs 0.001 or more");
}

TEST(LayerwiseInvertible, Builds) {
  check_zoo_model("layerwise_invertible", 32);
  check_zoo_model("layerwise_invertible", 4);
}

TEST(LayerwiseInvertible, NormsHaveTheSameWeights) { check_norms("layerwise_invertible", 14, 12); }

}  // namespace
}  // namespace thimble
