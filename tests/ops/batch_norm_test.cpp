#include <gtest/gtest.h>

#include <cmath>

#include "autodiff/differentiate.h"
#include "ops/core/builder.h"
#include "support/check_op.h"
#include "support/expect_error.h"

namespace thimble {
namespace {

Attributes::Entry act(const std::string& activation) { return {"activation", activation}; }
const Attributes::Entry kFrozen = {"training", int64_t{0}};

// The running statistics are statistics also when they are given.
std::vector<TestInput> inputs(const Shape& src, bool addend, Draw draw = uniform(-1, 1)) {
  const Shape channels{src[1]};
  return {f32(src, draw), addend ? f32(src) : absent(), f32(channels),
          f32(channels),  constant(channels),           constant(channels, uniform(0.5, 1.5))};
}

TEST(BatchNorm, HoldsItsContract) {
  for (int parts : {1, 2, 3}) {
    for (const char* activation : {"none", "relu"}) {
      for (bool addend : {false, true}) {
        SCOPED_TRACE(str_cat(parts, " gradients, ", activation, addend ? ", addend" : ""));
        check_op("batch_norm", {{.inputs = inputs({2, 3, 3, 5}, addend),
                                 .attributes = {act(activation)},
                                 .seed_parts = parts},
                                {.inputs = inputs({2, 3, 3, 5}, addend),
                                 .attributes = {kFrozen, act(activation)},
                                 .seed_parts = parts}});
      }
    }
  }
}

// Frozen, and gamma as well: backward does not read src.
TEST(BatchNorm, HoldsItsContractWithAFixedScale) {
  const auto fixed = [](const Shape& src, bool addend, bool beta) {
    std::vector<TestInput> all = inputs(src, addend);
    all[2].wanted = false;
    all[3].wanted = beta;
    return all;
  };
  for (const char* activation : {"none", "relu", "relu6", "leaky_relu"}) {
    for (int64_t mask : {0, 1, 2}) {
      for (bool addend : {false, true}) {
        SCOPED_TRACE(str_cat(activation, ", mask ", mask, addend ? ", addend" : ""));
        const Attributes a = {kFrozen, act(activation), {"mask", mask}};
        check_op("batch_norm",
                 {{.inputs = fixed({2, 3, 3, 5}, addend, true), .attributes = a},
                  {.inputs = fixed({3, 19, 2, 4}, addend, true), .attributes = a, .seed_parts = 2},
                  {.inputs = fixed({2, 19, 3, 5}, addend, false), .attributes = a},
                  {.inputs = fixed({4, 5}, addend, true), .attributes = a}});
      }
    }
  }
}

// Planes of 15 pixels do not fill their mask bytes; 19 channels do not fill their lanes.
TEST(BatchNorm, HoldsItsContractWithAMask) {
  const Attributes::Entry mask = {"mask", int64_t{1}};
  for (const char* activation : {"none", "relu", "relu6"}) {
    for (bool addend : {false, true}) {
      SCOPED_TRACE(str_cat(activation, addend ? ", addend" : ""));
      check_op(
          "batch_norm",
          {{.inputs = inputs({2, 3, 3, 5}, addend), .attributes = {act(activation), mask}},
           {.inputs = inputs({3, 19, 2, 4}, addend),
            .attributes = {act(activation), mask},
            .seed_parts = 2},
           {.inputs = inputs({2, 3, 3, 5}, addend), .attributes = {kFrozen, act(activation), mask}},
           {.inputs = inputs({2, 19, 3, 5}, false),
            .attributes = {act(activation), {"mask", int64_t{2}}}}});
    }
  }
}

// Of both signs, so that the floor mirrors some channels; leaky and floored is what inverts.
TEST(BatchNorm, HoldsItsContractWithLeakyReluAndAFloor) {
  const Attributes::Entry floor = {"scale_floor", 0.1};
  for (int64_t mask : {0, 1, 2}) {
    for (bool addend : {false, true}) {
      SCOPED_TRACE(str_cat("mask ", mask, addend ? ", addend" : ""));
      const Attributes::Entry bits = {"mask", mask};
      check_op("batch_norm", {{.inputs = inputs({2, 3, 3, 5}, addend),
                               .attributes = {act("leaky_relu"), {"slope", 0.25}, bits}},
                              {.inputs = inputs({3, 19, 2, 4}, addend),
                               .attributes = {act("leaky_relu"), floor, bits},
                               .seed_parts = 2},
                              {.inputs = inputs({2, 19, 3, 5}, addend),
                               .attributes = {kFrozen, act("leaky_relu"), floor, bits}},
                              {.inputs = inputs({2, 3, 3, 5}, addend),
                               .attributes = {act("none"), floor, bits}}});
    }
  }
}

TEST(BatchNorm, ScalesByGammaAndItsFloor) {
  const auto results = run_op(
      "batch_norm",
      {.inputs = {f32({4, 1}, exactly({1, 2, 3, 6})), absent(), f32({1}, exactly({-2})),
                  f32({1}, exactly({0.5})), constant({1}, exactly({10})),
                  constant({1}, exactly({20}))},
       .attributes = {{"epsilon", 0.5}, {"scale_floor", 2.0}, {"slope", 0.25}, act("leaky_relu")}});
  // mean 3, inv_std 1/2, scale |-2| + 2
  EXPECT_EQ(results[0], (std::vector<double>{-0.875, -0.375, 0.5, 6.5}));
}

// The other channels' inputs come back although one gamma is zero.
TEST(BatchNorm, ComesBackThroughAGammaOfZero) {
  OpCase c = {.inputs = inputs({4, 3, 2, 2}, true),
              .attributes = {act("leaky_relu"), {"scale_floor", 0.1}}};
  c.inputs[2].draw = exactly({0, -1e-6, 1});
  c.complex_step = true;
  c.inputs[2].wanted = false;  // |gamma| has a kink there
  check_op("batch_norm", {c});
}

std::string refusal(const Attributes& attributes) {
  const Graph graph =
      op_graph("batch_norm", {.inputs = inputs({2, 3}, false), .attributes = attributes});
  return find_op("batch_norm").inverse(graph, graph.nodes[0], 0).refusal;
}

TEST(BatchNorm, SaysWhatItsInputCannotBeHadFrom) {
  EXPECT_EQ(refusal({act("relu"), {"scale_floor", 0.1}}),
            "relu of layer loses what is below zero; leaky_relu does not");
  EXPECT_EQ(refusal({act("leaky_relu")}),
            "gamma of layer may come near zero; scale_floor keeps its scale away from it");
  EXPECT_EQ(refusal({act("leaky_relu"), {"scale_floor", 0.1}}), "");
}

TEST(BatchNorm, HoldsItsContractAtOddSizes) {
  check_op("batch_norm", {
                             {.inputs = {f32({2, 3, 4, 5})}},
                             {.inputs = {f32({7, 4})}, .attributes = {act("relu")}},
                             {.inputs = {f32({1, 2, 1, 3})},
                              .attributes = {{"momentum", 0.25}, {"epsilon", 0.5}}},
                             {.inputs = {f32({2, 1, 1, 1})}, .attributes = {{"epsilon", 0.5}}},
                             {.inputs = {f32({1, 3})}, .attributes = {kFrozen}},
                         });
}

TEST(BatchNorm, HoldsItsContractWithRelu6) {
  // Wide enough that values are cut off on both sides.
  const auto wide = [](bool addend) {
    std::vector<TestInput> all = inputs({3, 2, 3, 3}, addend);
    all[2].draw = uniform(6, 9);
    all[3].draw = uniform(2, 4);
    return all;
  };
  check_op("batch_norm", {{.inputs = wide(false), .attributes = {act("relu6")}},
                          {.inputs = wide(true), .attributes = {act("relu6")}, .seed_parts = 2},
                          {.inputs = wide(true), .attributes = {kFrozen, act("relu6")}}});
}

TEST(BatchNorm, KeepsItsAccuracyFarFromZero) {
  // A one-pass variance in f32 would have no correct digit here.
  OpCase c = {.inputs = inputs({4, 2, 8, 8}, false, uniform(999, 1001)), .f32_tolerance = 2e-3};
  check_op("batch_norm", {c});
}

TEST(BatchNorm, NormalisesByTheBiasedVarianceAndKeepsTheUnbiasedOne) {
  const auto results =
      run_op("batch_norm", {.inputs = {f32({4, 1}, exactly({1, 2, 3, 6})), absent(),
                                       f32({1}, exactly({2})), f32({1}, exactly({0.5})),
                                       constant({1}, exactly({10})), constant({1}, exactly({20}))},
                            .attributes = {{"epsilon", 0.5}}});
  // mean 3, biased variance 3.5, unbiased 14/3, inv_std 1/2
  EXPECT_EQ(results[0], (std::vector<double>{-1.5, -0.5, 0.5, 3.5}));
  EXPECT_EQ(results[1], std::vector<double>{3});
  EXPECT_EQ(results[2], std::vector<double>{0.5});
  EXPECT_DOUBLE_EQ(results[4][0], 0.9 * 10 + 0.1 * 3);
  EXPECT_DOUBLE_EQ(results[5][0], 0.9 * 20 + 0.1 * 14 / 3);
}

TEST(BatchNorm, FrozenUsesTheRunningStatisticsAndUpdatesNothing) {
  const auto results = run_op(
      "batch_norm", {.inputs = {f32({3, 1}, exactly({1, 2, 3})), f32({3, 1}, exactly({0, 0, -9})),
                                f32({1}, exactly({2})), f32({1}, exactly({0.5})),
                                constant({1}, exactly({1})), constant({1}, exactly({3.5}))},
                     .attributes = {{"epsilon", 0.5}, kFrozen, act("relu")}});
  ASSERT_EQ(results.size(), 4u);
  EXPECT_EQ(results[0], (std::vector<double>{0.5, 1.5, 0}));
  EXPECT_TRUE(results[1].empty());
  EXPECT_TRUE(results[2].empty());
  EXPECT_TRUE(results[3].empty());
}

TEST(BatchNorm, SavesTheOutputOnlyForAnActivatedSum) {
  const auto saved = [](bool addend, const Attributes& attributes) {
    return saved_by("batch_norm", {.inputs = inputs({2, 3}, addend), .attributes = attributes});
  };
  EXPECT_EQ(saved(false, {}), "src, gamma, beta, mean, inv_std");
  EXPECT_EQ(saved(false, {act("relu")}), "src, gamma, beta, mean, inv_std");
  EXPECT_EQ(saved(true, {}), "src, gamma, beta, mean, inv_std");
  EXPECT_EQ(saved(true, {act("relu")}), "src, gamma, beta, dst, mean, inv_std");
  EXPECT_EQ(saved(false, {kFrozen}), "src, gamma, beta, running_mean, running_var");
  EXPECT_EQ(saved(false, {kFrozen, act("relu")}),
            "src, gamma, beta, running_mean, running_var, dst");
  EXPECT_EQ(saved(true, {kFrozen, act("relu6")}),
            "src, gamma, beta, running_mean, running_var, dst");
  EXPECT_EQ(saved(true, {act("relu"), {"mask", int64_t{1}}}),
            "src, gamma, beta, mask, mean, inv_std");
}

// The backward node for a batch norm of a (2, 3) sum, and which of its outputs it makes.
Node backward_node(bool addend, const Attributes& attributes, int parts,
                   const std::vector<std::string>& wanted) {
  Graph graph =
      op_graph("batch_norm", {.inputs = inputs({2, 3}, addend), .attributes = attributes});
  const TensorId dst = graph.nodes[0].outputs[0];
  std::vector<TensorId> outputs, seeds, ids;
  for (int i = 0; i < parts; ++i) {
    outputs.push_back(dst);
    seeds.push_back(graph.add_tensor({"seed", {2, 3}, ElementType::f32, Role::data, {}, false}));
  }
  for (const std::string& name : wanted) ids.push_back(graph.find(name));
  return differentiate(graph, outputs, seeds, ids).graph.nodes.back();
}

std::vector<bool> made(const Node& node) {
  std::vector<bool> result;
  for (TensorId t : node.outputs) result.push_back(t != kNoTensor);
  return result;
}

TEST(BatchNorm, BackwardMakesOnlyWantedGradients) {
  using Made = std::vector<bool>;
  EXPECT_EQ(made(backward_node(false, {}, 1, {"in0", "in2", "in3"})),
            (Made{true, false, true, true}));
  EXPECT_EQ(made(backward_node(false, {}, 1, {"in3"})), (Made{false, false, false, true}));
  EXPECT_EQ(made(backward_node(true, {act("relu")}, 1, {"in0"})),
            (Made{true, false, false, false}));
  EXPECT_EQ(made(backward_node(true, {act("relu")}, 1, {"in0", "in1"})),
            (Made{true, true, false, false}));
}

TEST(BatchNorm, GradientOfTheAddendIsDiffDstWithoutActivationOrSum) {
  using Made = std::vector<bool>;
  EXPECT_EQ(made(backward_node(true, {}, 1, {"in0", "in1"})), (Made{true, false, false, false}));
  EXPECT_EQ(made(backward_node(true, {}, 2, {"in0", "in1"})), (Made{true, true, false, false}));
  EXPECT_EQ(backward_node(true, {}, 1, {"in1"}).op, "batch_norm");  // nothing to compute
}

TEST(BatchNorm, BackwardSumsTwoGradientsItself) {
  const Node two = backward_node(false, {}, 2, {"in0"});
  EXPECT_NE(two.inputs[1], kNoTensor);
  EXPECT_NE(two.inputs[2], kNoTensor);
  EXPECT_EQ(backward_node(false, {}, 1, {"in0"}).inputs[2], kNoTensor);
}

TEST(BatchNorm, BackwardOfAFixedScaleReadsWhatWasCutOffAndNotSrc) {
  const Attributes frozen = {kFrozen, act("relu6")};
  Attributes masked = frozen;
  masked.set("mask", int64_t{2});
  const Node by_dst = backward_node(false, frozen, 1, {"in0", "in3"});
  EXPECT_EQ(by_dst.inputs[0], kNoTensor);
  EXPECT_NE(by_dst.inputs[7], kNoTensor);
  const Node by_mask = backward_node(false, masked, 1, {"in0", "in3"});
  EXPECT_EQ(by_mask.inputs[0], kNoTensor);
  EXPECT_EQ(by_mask.inputs[7], kNoTensor);
  EXPECT_NE(by_mask.inputs[8], kNoTensor);
  EXPECT_EQ(backward_node(false, {kFrozen}, 1, {"in0", "in3"}).inputs.size(), 7u);
  EXPECT_NE(backward_node(false, frozen, 1, {"in0", "in2"}).inputs[0], kNoTensor);
  EXPECT_NE(backward_node(false, {act("relu6")}, 1, {"in0", "in3"}).inputs[0], kNoTensor);
}

TEST(BatchNorm, OwnsParametersWithTheirFirstValues) {
  const Graph graph = op_graph("batch_norm", {.inputs = {f32({2, 3, 4, 4})}});
  const auto is = [&](const std::string& name, double initial, Role role) {
    const Tensor& t = graph.tensor(graph.find(name));
    return t.shape == Shape{3} && t.init.value == initial && t.role == role;
  };
  EXPECT_TRUE(is("layer.weight", 1, Role::weight));
  EXPECT_TRUE(is("layer.bias", 0, Role::weight));
  EXPECT_TRUE(is("layer.running_mean", 0, Role::statistic));
  EXPECT_TRUE(is("layer.running_var", 1, Role::statistic));
}

TEST(BatchNorm, RefusesOneValuePerChannel) {
  expect_user_error(
      [] {
        op_graph("batch_norm", {.inputs = {f32({1, 3, 1, 1})}});
      },
      "batch_norm: src (1, 3, 1, 1) has one value per channel, whose variance is "
      "zero; use a larger batch, norm=group or norm=frozen");
}

TEST(BatchNorm, RefusesWhatItCannotNormalise) {
  expect_user_error(
      [] {
        op_graph("batch_norm", {.inputs = {f32({2, 3, 4})}});
      },
      "batch_norm: src must be (N, C, H, W) or (N, C), got (2, 3, 4)");
  expect_user_error(
      [] {
        op_graph("batch_norm", {.inputs = {f32({2, 3}), f32({3, 2})}});
      },
      "batch_norm: the addend (3, 2) must have the shape of src (2, 3)");
  expect_user_error(
      [] {
        op_graph("batch_norm", {.inputs = {f32({2, 3}), absent(), f32({2})}});
      },
      "batch_norm: src (2, 3) needs parameters of shape (3), got (2)");
  expect_user_error(
      [] {
        op_graph("batch_norm", {.inputs = {f32({2, 3})}, .attributes = {act("tanh")}});
      },
      "batch_norm: activation must be 'none', 'relu', 'relu6' or 'leaky_relu', got 'tanh'");
}

}  // namespace
}  // namespace thimble
