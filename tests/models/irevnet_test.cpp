#include "models/zoo.h"
#include "support/expect_error.h"

namespace thimble {
namespace {

TEST(Irevnet, HasFourTimesTheChannelsInEachStage) {
  // Stem; couplings of 16, 64, 256 and 1024 channels; norms of the sums; classifier.
  EXPECT_EQ(parameters("irevnet"), 928 + 8 * (2336 + 36992 + 590336 + 9439232) + 4096 + 20490);
  const Graph graph = build_model("irevnet", {.batch = 2});
  EXPECT_EQ(layer_shape(graph, "stage1.block2.add2"), (Shape{2, 16, 32, 32}));
  EXPECT_EQ(layer_shape(graph, "stage4.block2.add2"), (Shape{2, 1024, 4, 4}));
}

TEST(Irevnet, LosesNothingBehindTheStem) {
  const Graph graph = build_model("irevnet", {.batch = 2});
  int64_t elements = 0;
  for (const char* layer :
       {"stage1.block2.add2", "stage2.block2.add2", "stage3.block2.add2", "stage4.block2.add2"}) {
    if (elements == 0) elements = layer_shape(graph, layer).elements();
    EXPECT_EQ(layer_shape(graph, layer).elements(), elements) << layer;
  }
  EXPECT_EQ(count_ops(graph, "space_to_depth"), 6);
}

TEST(Irevnet, Builds) {
  check_zoo_model("irevnet", 32);
  check_zoo_model("irevnet", 8);
}

TEST(Irevnet, NormsHaveTheSameWeights) { check_norms("irevnet", 35, 16); }

TEST(Irevnet, RefusesImagesThatItCannotHalve) {
  expect_user_error([] { build_model("irevnet", {.height = 12}); }, "sides are multiples of 2");
}

}  // namespace
}  // namespace thimble
