#include "models/zoo.h"

namespace thimble {
namespace {

TEST(Revnet18, HasTheWeightsOfHalfChannels) {
  // Stem; couplings of 32, 64, 128 and 256 channels; six convolutions between stages; norms of the
  // sums; classifier.
  EXPECT_EQ(parameters("revnet18"), 1856 + 8 * (9280 + 36992 + 147712 + 590336) +
                                        2 * (18560 + 73984 + 295424) + 1024 + 5130);
}

TEST(Revnet18, StagesHalveTheImage) {
  const Graph graph = build_model("revnet18", {.batch = 4});
  EXPECT_EQ(layer_shape(graph, "stem.norm"), (Shape{4, 64, 32, 32}));
  EXPECT_EQ(layer_shape(graph, "stage1.block2.add2"), (Shape{4, 32, 32, 32}));
  EXPECT_EQ(layer_shape(graph, "stage2.block1.f.norm2"), (Shape{4, 64, 16, 16}));
  EXPECT_EQ(layer_shape(graph, "stage4.block2.add1"), (Shape{4, 256, 4, 4}));
}

TEST(Revnet18, Builds) {
  check_zoo_model("revnet18", 32);
  check_zoo_model("revnet18", 16);
}

TEST(Revnet18, NormsHaveTheSameWeights) { check_norms("revnet18", 41, 16); }

TEST(Revnet18, CouplesEveryBlockTwice) { EXPECT_EQ(count_ops(build_model("revnet18"), "add"), 16); }

TEST(Revnet18, ScalesItsChannels) {
  const Graph graph = build_model("revnet18", {.width = 0.25});
  EXPECT_EQ(layer_shape(graph, "stage4.block2.add1")[1], 64);
}

}  // namespace
}  // namespace thimble
