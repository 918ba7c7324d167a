#include <gtest/gtest.h>

#include "ops/core/op.h"
#include "support/check_op.h"
#include "support/expect_error.h"

namespace thimble {
namespace {

Attributes features(int64_t out, int64_t bias = 1) {
  return {{"out_features", out}, {"bias", bias}};
}

TEST(Linear, HoldsItsContract) {
  check_op("linear", {{.inputs = {f32({3, 5})}, .attributes = features(7)},
                      {.inputs = {f32({3, 5})}, .attributes = features(7, 0)},
                      {.inputs = {f32({1, 1})}, .attributes = features(1)},
                      {.inputs = {f32({1, 35})}, .attributes = features(2), .seed_parts = 3},
                      {.inputs = {f32({9, 16})}, .attributes = features(1, 0)}});
}

TEST(Linear, HoldsItsContractOnSeveralThreads) {
  check_op("linear", {{.inputs = {f32({3, 101}), constant({131, 101}), constant({131})},
                       .attributes = features(131)},
                      {.inputs = {constant({33, 40}), constant({37, 40}), f32({37})},
                       .attributes = features(37)}});
}

TEST(Linear, MultipliesByTransposedWeightsAndAddsTheBias) {
  const OpCase c = {
      .inputs = {f32({2, 3}, exactly({1, 2, 3, 4, 5, 6})),
                 f32({2, 3}, exactly({1, 0, -1, 0.5, 2, 0})), f32({2}, exactly({10, 20}))},
      .attributes = features(2)};
  EXPECT_EQ(run_op("linear", c)[0], (std::vector<double>{8, 24.5, 8, 32}));
}

TEST(Linear, DrawsWeightsAndBiasUniformlyAsPyTorch) {
  const Graph graph = op_graph("linear", {.inputs = {f32({2, 16})}, .attributes = features(3)});
  const Tensor& weights = graph.tensor(graph.find("layer.weight"));
  const Tensor& bias = graph.tensor(graph.find("layer.bias"));
  const Init expected = {Init::Kind::uniform, 0.25};
  EXPECT_EQ(weights.shape, (Shape{3, 16}));
  EXPECT_EQ(weights.init, expected);
  EXPECT_EQ(bias.shape, Shape{3});
  EXPECT_EQ(bias.init, expected);
}

TEST(Linear, HasNoBiasParameterWithoutBias) {
  const Graph graph = op_graph("linear", {.inputs = {f32({2, 16})}, .attributes = features(3, 0)});
  EXPECT_EQ(graph.find("layer.bias"), kNoTensor);
}

TEST(Linear, CountsTwoOperationsForEachMultiplyAdd) {
  const Graph graph = op_graph("linear", {.inputs = {f32({2, 16})}, .attributes = features(3)});
  EXPECT_EQ(flops_of(graph, graph.nodes[0]), 2 * 2 * 16 * 3);
}

TEST(Linear, NamesWhatDoesNotFit) {
  const auto infer = [](std::vector<TestInput> inputs, const Attributes& a) {
    op_graph("linear", {.inputs = std::move(inputs), .attributes = a});
  };
  expect_user_error(
      [&] {
        infer({f32({2, 3, 4, 4})}, features(5));
      },
      "src must be (N, I), got (2, 3, 4, 4); put a flatten in front");
  expect_user_error(
      [&] {
        infer({f32({2, 3})}, features(0));
      },
      "out_features must be positive, got 0");
  expect_user_error(
      [&] {
        infer({f32({2, 3}), f32({3, 5})}, features(5));
      },
      "src (2, 3) needs weights (5, 3), got (3, 5)");
  expect_user_error(
      [&] {
        infer({f32({2, 3}), f32({5, 3}), f32({4})}, features(5));
      },
      "5 output features need a bias of shape (5), got (4)");
  expect_user_error(
      [&] {
        infer({f32({2, 3}), f32({5, 3}), f32({5})}, features(5, 0));
      },
      "bias=0 but a bias was given");
}

}  // namespace
}  // namespace thimble
