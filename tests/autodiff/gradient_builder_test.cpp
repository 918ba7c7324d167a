#include <gtest/gtest.h>

#include "ops/core/builder.h"
#include "ops/core/gradient.h"
#include "support/check_op.h"
#include "support/expect_error.h"

namespace thimble {
namespace {

GradientBuilder builder_of(Graph& graph, std::vector<TensorId> diff_dst) {
  const Node node = graph.nodes[0];
  return GradientBuilder(graph, node, {std::move(diff_dst)}, {true});
}

TEST(GradientBuilder, RefusesToReadWhatIsNotSaved) {
  Graph relu = op_graph("relu", {.inputs = {f32({2})}});  // saves its output
  expect_internal_error([&] { builder_of(relu, {0}).input(0); },
                        "the gradient of relu reads input 0, which its `saves` does not list");
  EXPECT_EQ(builder_of(relu, {0}).output(0), relu.find("layer"));
  Graph silu = op_graph("silu", {.inputs = {f32({2})}});  // saves its input
  expect_internal_error([&] { builder_of(silu, {0}).output(0); },
                        "the gradient of silu reads output 0, which its `saves` does not list");
  EXPECT_EQ(builder_of(silu, {0}).input(0), silu.find("in0"));
}

TEST(GradientBuilder, RefusesAGradientOfAnotherShape) {
  Graph graph = op_graph("relu", {.inputs = {f32({2})}});
  const TensorId other =
      graph.add_tensor({"other", {3}, ElementType::f32, Role::difference, {}, false});
  expect_internal_error([&] { builder_of(graph, {0}).set_diff_input(0, other); },
                        "relu gives input 0 of shape (2) a gradient of shape (3)");
}

TEST(GradientBuilder, SumsTheGradientsOfAnOutputOnce) {
  Graph graph = op_graph("relu", {.inputs = {f32({2})}});
  GradientBuilder builder = builder_of(graph, {0, 0, 0});
  const TensorId sum = builder.diff_output();
  EXPECT_EQ(graph.nodes.size(), 3u);  // relu and two sums
  EXPECT_EQ(builder.diff_output(), sum);
  EXPECT_EQ(graph.nodes.size(), 3u);
}

TEST(GradientBuilder, HasNoGradientOfTheLossItself) {
  Graph graph = op_graph("relu", {.inputs = {f32({2})}});
  EXPECT_EQ(builder_of(graph, {}).diff_output(), kNoTensor);
}

}  // namespace
}  // namespace thimble
