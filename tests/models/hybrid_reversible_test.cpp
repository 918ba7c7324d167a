#include <algorithm>

#include "models/zoo.h"
#include "support/expect_error.h"

namespace thimble {
namespace {

Graph with(std::map<std::string, std::string> variants, int64_t batch = 2) {
  return build_model("hybrid_reversible", {.batch = batch, .variants = std::move(variants)});
}

TEST(HybridReversible, HasQuartersOfTheChannels) {
  // Stems; two blocks each of quarters of 8, 32 and 128 channels, of four convolutions and norms;
  // norms under the head; classifier.
  int64_t blocks = 0;
  for (int64_t q : {8, 32, 128}) blocks += 2 * 4 * (9 * q * q + 2 * q);
  EXPECT_EQ(parameters("hybrid_reversible"), 928 + blocks + 1024 + 5130);
  EXPECT_EQ(count_ops(with({}), "conv2d"), 4 + 6 * 4);
  EXPECT_EQ(count_ops(with({}), "split"), 0);
}

TEST(HybridReversible, HasAnyDepthAndLayers) {
  for (const char* depth : {"1", "2", "3", "64"}) {
    const Graph graph = with({{"depth", depth}, {"layers", "2"}});
    // Of each block four sums of its couplings, and two a layer in its branches.
    EXPECT_EQ(count_ops(graph, "add"), (4 + 2 * 2 * 2) * std::stoi(depth));
  }
  expect_user_error(
      [] {
        with({{"layers", "17"}});
      },
      "option layers is '17', needs a whole number from 1 to 16");
}

TEST(HybridReversible, PoolsIntoChannelsOrExamples) {
  const Graph channel = with({});
  EXPECT_EQ(layer_shape(channel, "block6.g.sum2"), (Shape{2, 128, 8, 8}));
  const Graph batch = with({{"pools", "batch"}});
  EXPECT_EQ(layer_shape(batch, "block6.g.sum2"), (Shape{32, 8, 8, 8}));
  EXPECT_EQ(layer_shape(batch, "head4.join2"), (Shape{2, 8, 32, 32}));
  const Graph alternate = with({{"pools", "alternate"}});
  EXPECT_EQ(layer_shape(alternate, "block6.g.sum2"), (Shape{8, 32, 8, 8}));
  EXPECT_EQ(layer_shape(alternate, "head1.join1"), (Shape{2, 32, 16, 16}));
  EXPECT_EQ(count_ops(channel, "space_to_depth"), 8);
  EXPECT_EQ(count_ops(alternate, "space_to_batch"), 4);
}

TEST(HybridReversible, AddsInFixedPoint) {
  const Graph graph = with({{"coupling", "fixed_point"}});
  EXPECT_EQ(count_ops(graph, "fixed_point"), 4);
  EXPECT_EQ(count_ops(graph, "fixed_point_add"), 6 * 4);
  EXPECT_EQ(count_ops(graph, "add"), 6 * 4);  // inside of branches
}

TEST(HybridReversible, Builds) {
  check_zoo_model("hybrid_reversible", 32);
  check_zoo_model("hybrid_reversible", 4);
}

TEST(HybridReversible, NormsHaveTheSameWeights) {
  check_norms("hybrid_reversible", 4 + 6 * 4 + 4, 6 * 8);
}

}  // namespace
}  // namespace thimble
