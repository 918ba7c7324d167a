#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "ops/core/builder.h"
#include "support/check_op.h"
#include "support/expect_error.h"
#include "support/interpreter.h"

namespace thimble {
namespace {

Attributes bits(int64_t fraction) { return {{"fraction_bits", fraction}}; }

// Numbers of the grid of 1/4096, in [-8, 8).
Draw on_grid() {
  return [](const RandomStream& random, int64_t i, int64_t) {
    return static_cast<double>(random.below(static_cast<uint64_t>(i), 65536) - 32768) / 4096;
  };
}

TEST(FixedPoint, HoldsItsContract) {
  // In f32 a value may be rounded to the other neighbour.
  check_op("fixed_point", {{.inputs = {f32({2, 3, 5, 7})}, .f32_tolerance = 1e-3},
                           {.inputs = {f32({7}, on_grid())}, .seed_parts = 2}});
}

TEST(FixedPointAdd, HoldsItsContract) {
  check_op("fixed_point_add",
           {{.inputs = {f32({2, 3, 5, 7}, on_grid()), f32({2, 3, 5, 7})}, .f32_tolerance = 1e-3},
            {.inputs = {f32({3, 4}, on_grid()), f32({3, 4}, on_grid())}, .seed_parts = 3},
            {.inputs = {constant({1, 2, 160, 160}, on_grid()), constant({1, 2, 160, 160})},
             .f32_tolerance = 1e-3}});
}

TEST(FixedPoint, RoundsToTheNearestOfTheGrid) {
  const OpCase c = {.inputs = {f32({5}, exactly({0.12, -0.13, 0.125, 3, -0.49}))},
                    .attributes = bits(2)};
  EXPECT_EQ(run_op("fixed_point", c)[0], (std::vector<double>{0, -0.25, 0, 3, -0.5}));
}

TEST(FixedPoint, StaysInItsRange) {
  const double range = std::exp2(22 - 12), step = std::exp2(-12);
  const OpCase c = {.inputs = {f32({4}, exactly({1e9, -1e9, range, -range}))}};
  EXPECT_EQ(run_op("fixed_point", c)[0],
            (std::vector<double>{range - step, -range, range - step, -range}));
}

TEST(FixedPointAdd, WrapsAround) {
  const double range = std::exp2(22 - 12);
  const OpCase c = {
      .inputs = {f32({2}, exactly({range - 1, 1 - range})), f32({2}, exactly({3, -3}))}};
  EXPECT_EQ(run_op("fixed_point_add", c)[0], (std::vector<double>{2 - range, range - 2}));
}

// Whatever the branch makes, on each backend: not one bit is lost, though sums wrap and branches
// are cut off.
TEST(FixedPointAdd, IsUndoneToTheBit) {
  constexpr int64_t kCount = 100000;
  Graph graph = op_graph("fixed_point_add", {.inputs = {f32({kCount}), f32({kCount})}});
  const Node forward = graph.nodes[0];
  const auto inverse = find_op("fixed_point_add").inverse(graph, forward, 0);
  ASSERT_TRUE(inverse.node);
  EXPECT_FALSE(inverse.rounds);
  const TensorId again = append_node(graph, Phase::forward, inverse.node->op, "inverse",
                                     inverse.node->inputs, inverse.node->attributes)[0];
  const RandomStream random(7, 1);
  std::vector<double> src, branch;
  for (uint64_t i = 0; i < kCount; ++i) {
    src.push_back(static_cast<double>(random.below(2 * i, 1 << 23) - (1 << 22)) / 4096);
    const double size = std::exp2(40 * random.uniform(2 * i + 1) - 20);
    branch.push_back(static_cast<float>(i % 2 == 0 ? size : -size));
  }
  branch[5] = std::numeric_limits<double>::infinity();
  Interpreter<float> run(graph);
  run.set(graph.find("in0"), src);
  run.set(graph.find("in1"), branch);
  run.run();
  EXPECT_EQ(run.get(again), src);
}

TEST(FixedPointAdd, SaysWhatItLoses) {
  const Graph graph = op_graph("fixed_point_add", {.inputs = {f32({3}), f32({3})}});
  EXPECT_EQ(find_op("fixed_point_add").inverse(graph, graph.nodes[0], 1).refusal,
            "the branch of layer was rounded");
}

// Also behind what only moves values; not of streams that nobody rounded, or to another grid.
TEST(FixedPointAdd, IsUndoneOnItsOwnGridAlone) {
  const auto inverse = [](const char* first, int64_t fraction) {
    GraphBuilder b("sum");
    const TensorId images = b.images({2, 4, 6, 6});
    const TensorId stream = std::string(first) == "leaky_relu"
                                ? b.layer(first, "stream", {images}, {{"alpha", 0.5}})
                                : b.layer(first, "stream", {images}, bits(fraction));
    const TensorId moved = b.layer("space_to_depth", "moved", {stream});
    b.layer("fixed_point_add", "sum", {moved, moved}, bits(8));
    Graph graph = b.graph();
    Node& sum = graph.nodes.back();
    sum.inputs[1] = graph.find("images");  // not the same tensor twice
    return find_op("fixed_point_add").inverse(graph, sum, 0);
  };
  EXPECT_TRUE(inverse("fixed_point", 8).node);
  EXPECT_EQ(inverse("fixed_point", 9).refusal, "what sum adds to was not rounded to its grid");
  EXPECT_EQ(inverse("leaky_relu", 0).refusal, "what sum adds to was not rounded to its grid");
}

TEST(FixedPointAdd, NamesWhatDoesNotFit) {
  expect_user_error(
      [] {
        op_graph("fixed_point_add", {.inputs = {f32({2, 3}), f32({3, 2})}});
      },
      "fixed_point_add: shapes (2, 3) and (3, 2) must be equal");
  expect_user_error([] { op_graph("fixed_point", {.inputs = {f32({2})}, .attributes = bits(21)}); },
                    "fixed_point: fraction_bits is 21, needs 0 to 20");
}

}  // namespace
}  // namespace thimble
