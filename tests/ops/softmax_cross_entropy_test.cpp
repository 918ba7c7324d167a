#include <gtest/gtest.h>

#include <cmath>

#include "autodiff/differentiate.h"
#include "ops/core/op.h"
#include "support/check_backends.h"
#include "support/check_op.h"
#include "support/expect_error.h"
#include "support/interpreter.h"

namespace thimble {
namespace {

Attributes smoothing(double value) { return {{"label_smoothing", value}}; }

// The loss itself, whose gradient is one, and a loss that more is made of.
std::vector<OpCase> cases(TestInput logits, TestInput labels, double label_smoothing) {
  const OpCase c = {.inputs = {std::move(logits), std::move(labels)},
                    .attributes = smoothing(label_smoothing)};
  std::vector<OpCase> both = {c, c};
  both[0].is_loss = true;
  both[1].seed_parts = 2;
  return both;
}

TEST(SoftmaxCrossEntropy, HoldsItsContract) {
  for (double e : {0.0, 0.1, 1.0}) {
    check_op("softmax_cross_entropy", cases(f32({5, 3}), i32({5}, integers(0, 3)), e));
  }
  check_op("softmax_cross_entropy", cases(f32({1, 1}), i32({1}, exactly({0})), 0));
  check_op("softmax_cross_entropy",
           cases(f32({2, 17}, uniform(-20, 20)), i32({2}, integers(0, 17)), 0.2));
  // Large enough for threads.
  check_op("softmax_cross_entropy", cases(f32({8, 260}), i32({8}, integers(0, 260)), 0));
}

TEST(SoftmaxCrossEntropy, HoldsItsContractWithIgnoredLabels) {
  check_op("softmax_cross_entropy", cases(f32({4, 3}), i32({4}, exactly({-1, 2, 3, -100})), 0.1));
  check_op("softmax_cross_entropy", cases(f32({2, 3}), i32({2}, exactly({-1})), 0));
}

TEST(SoftmaxCrossEntropy, HoldsItsContractWithClassWeights) {
  for (double e : {0.0, 0.1}) {
    OpCase c = {.inputs = {f32({5, 3}), i32({5}, exactly({2, 0, 1, -1, 2})),
                           constant({3}, exactly({0.5, 2, 1}))},
                .attributes = smoothing(e)};
    OpCase loss = c;
    loss.is_loss = true;
    check_op("softmax_cross_entropy", {c, loss});
  }
}

const std::vector<double> kLogits = {1, -2, 0.5, 0.25, 0.75, -0.5, 3, 3, -1, -0.5, 2, 1.5};
const std::vector<double> kLabels = {0, 2, -1, 1};

std::vector<std::vector<double>> run(const std::vector<double>& logits,
                                     const std::vector<double>& labels, double label_smoothing) {
  const auto batch = static_cast<int64_t>(labels.size());
  const int64_t classes = static_cast<int64_t>(logits.size()) / batch;
  return run_op("softmax_cross_entropy",
                {.inputs = {f32({batch, classes}, exactly(logits)), i32({batch}, exactly(labels))},
                 .attributes = smoothing(label_smoothing)});
}

std::vector<double> gradient(double label_smoothing) {
  const Graph graph =
      op_graph("softmax_cross_entropy", {.inputs = {f32({4, 3}), i32({4}, exactly(kLabels))},
                                         .attributes = smoothing(label_smoothing)});
  const TensorId logits = graph.find("in0");
  const Differentiated d = differentiate(graph, {graph.nodes[0].outputs[0]}, {kNoTensor}, {logits});
  Interpreter<double> interpreter(d.graph);
  interpreter.set(logits, kLogits);
  interpreter.set(graph.find("in1"), kLabels);
  interpreter.run();
  return interpreter.get(d.diffs[static_cast<size_t>(logits)]);
}

// torch 1.13: F.cross_entropy(logits, labels, ignore_index=-1, label_smoothing=e) in float64.
TEST(SoftmaxCrossEntropy, GivesPyTorchsNumbers) {
  const auto out = run(kLogits, kLabels, 0);
  expect_near(out[0], {0.9722291869782252}, 1e-15, "loss");
  EXPECT_EQ(out[1], std::vector<double>{2});
  expect_near(out[2],
              {0.6037488961486258, 0.030058887569574023, 0.3661922162818002, 0.320401109026613,
               0.5282521236080877, 0.1513467673652992, 0.4954626425778431, 0.4954626425778431,
               0.009074714844313747, 0.04861082403130226, 0.5922010701861591, 0.3591881057825386},
              1e-15, "probabilities");
  expect_near(gradient(0),
              {-0.13208370128379138, 0.010019629189858006, 0.1220640720939334, 0.10680036967553766,
               0.17608404120269588, -0.28288441087823357, 0, 0, 0, 0.01620360801043409,
               -0.1359329766046136, 0.11972936859417954},
              1e-15, "gradient");
}

TEST(SoftmaxCrossEntropy, SmoothsLabelsAsPyTorch) {
  expect_near(run(kLogits, kLabels, 0.1)[0], {1.0222291869782252}, 1e-15, "loss");
  expect_near(gradient(0.1),
              {-0.10986147906156915, -0.001091481921253103, 0.1109529609828223, 0.09568925856442655,
               0.16497293009158479, -0.2606621886560114, 0, 0, 0, 0.00509249689932298,
               -0.11371075438239137, 0.10861825748306844},
              1e-15, "gradient");
}

// torch 1.13: F.cross_entropy(..., weight=w, reduction='sum', ignore_index=-1) / 3, in float64.
TEST(SoftmaxCrossEntropy, WeightsDoNotChangeWhatTheSumIsDividedBy) {
  const auto out = run_op("softmax_cross_entropy",
                          {.inputs = {f32({4, 3}, exactly(kLogits)), i32({4}, exactly(kLabels)),
                                      constant({3}, exactly({0.5, 2, 1}))},
                           .attributes = smoothing(0)});
  expect_near(out[0], {1.0627660553144807}, 1e-15, "loss");
  EXPECT_EQ(out[1], std::vector<double>{2});
}

TEST(SoftmaxCrossEntropy, WeightedPartsOfABatchHaveTheMeanOfTheWhole) {
  const auto loss = [](std::vector<double> logits, std::vector<double> labels) {
    const auto batch = static_cast<int64_t>(labels.size());
    return run_op("softmax_cross_entropy", {.inputs = {f32({batch, 2}, exactly(std::move(logits))),
                                                       i32({batch}, exactly(std::move(labels))),
                                                       constant({2}, exactly({0.25, 4}))}})[0][0];
  };
  const double whole = loss({1, 2, 3, 0, -1, 2, 0, 1}, {0, 1, 0, 0});
  const double parts = loss({1, 2, 3, 0}, {0, 1}) + loss({-1, 2, 0, 1}, {0, 0});
  EXPECT_NEAR(parts / 2, whole, 1e-15);
}

TEST(SoftmaxCrossEntropy, WeightsOfOneChangeNoBit) {
  const OpCase plain = {.inputs = {f32({4, 3}, exactly(kLogits)), i32({4}, exactly(kLabels))}};
  OpCase weighted = plain;
  weighted.inputs.push_back(constant({3}, exactly({1})));
  EXPECT_EQ(run_op("softmax_cross_entropy", weighted), run_op("softmax_cross_entropy", plain));
}

TEST(SoftmaxCrossEntropy, IsZeroWhenNoSampleCounts) {
  for (double outside : {-1.0, -7.0, 3.0, 2147483647.0, -2147483648.0}) {
    const auto out = run({1, 2, 3}, {outside}, 0.1);
    EXPECT_EQ(out[0], std::vector<double>{0}) << "label " << outside;
    EXPECT_EQ(out[1], std::vector<double>{0}) << "label " << outside;
  }
}

TEST(SoftmaxCrossEntropy, CountsTheFirstOfEqualMaximaAsTheAnswer) {
  EXPECT_EQ(run({3, 3}, {0}, 0)[1], std::vector<double>{1});
  EXPECT_EQ(run({3, 3}, {1}, 0)[1], std::vector<double>{0});
}

TEST(SoftmaxCrossEntropy, SurvivesLargeLogits) {
  const auto out = run({1000, 0, -1000, 0, 1000, 1000}, {2, 1}, 0);
  expect_near(out[0], {(2000 + std::log(2.0)) / 2}, 1e-15, "loss");
  EXPECT_EQ(out[2], (std::vector<double>{1, 0, 0, 0, 0.5, 0.5}));
}

TEST(SoftmaxCrossEntropy, SavesProbabilitiesAndLabels) {
  const Graph graph =
      op_graph("softmax_cross_entropy", {.inputs = {f32({4, 3}), i32({4}, exactly({0}))}});
  const Saves saves = saves_of(graph, graph.nodes[0]);
  EXPECT_EQ(saves.inputs, std::vector<size_t>{1});
  EXPECT_EQ(saves.outputs, std::vector<size_t>{2});
}

TEST(SoftmaxCrossEntropy, ComputesTheLossWithoutStoringProbabilities) {
  const OpCase c = {.inputs = {f32({4, 3}, exactly(kLogits)), i32({4}, exactly(kLabels))}};
  Graph graph = op_graph("softmax_cross_entropy", c);
  graph.nodes[0].outputs[2] = kNoTensor;
  Interpreter<double> interpreter(graph);
  interpreter.set(graph.find("in0"), kLogits);
  interpreter.set(graph.find("in1"), kLabels);
  interpreter.run();
  EXPECT_EQ(interpreter.get(graph.nodes[0].outputs[0]), run_op("softmax_cross_entropy", c)[0]);
}

TEST(SoftmaxCrossEntropy, RefusesGradientsOfItsProbabilities) {
  Graph graph =
      op_graph("softmax_cross_entropy", {.inputs = {f32({4, 3}), i32({4}, exactly({0}))}});
  const TensorId seed = graph.add_tensor({"seed", {4, 3}, ElementType::f32, Role::data, {}, false});
  expect_user_error(
      [&] { differentiate(graph, {graph.nodes[0].outputs[2]}, {seed}, {graph.find("in0")}); },
      "the output 'probabilities' has no gradient; train through 'loss'");
}

TEST(SoftmaxCrossEntropy, NamesWhatDoesNotFit) {
  const auto infer = [](const Shape& logits, int64_t labels, double e) {
    op_graph("softmax_cross_entropy",
             {.inputs = {f32(logits), i32({labels}, exactly({0}))}, .attributes = smoothing(e)});
  };
  expect_user_error([&] { infer({4, 3, 1, 1}, 4, 0); }, "logits must be (N, K), got (4, 3, 1, 1)");
  expect_user_error(
      [&] {
        infer({4, 3}, 3, 0);
      },
      "logits (4, 3) need labels of shape (4), got (3)");
  expect_user_error(
      [] {
        op_graph("softmax_cross_entropy",
                 {.inputs = {f32({4, 3}), i32({4}, exactly({0})), constant({4})}});
      },
      "logits (4, 3) need class weights of shape (3), got (4)");
  expect_user_error([&] { infer({4, 3}, 4, 1.5); }, "label_smoothing must be in [0, 1], got 1.5");
}

}  // namespace
}  // namespace thimble
