#include "autodiff/differentiate.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "ops/core/builder.h"
#include "support/check_backends.h"
#include "support/expect_error.h"
#include "support/experiment.h"

namespace thimble {
namespace {

Attributes conv(int64_t out_channels) {
  return {{"out_channels", out_channels}, {"kernel", both(3)}, {"padding", ints({1, 1, 1, 1})}};
}

int count_nodes(const Graph& graph, Phase phase, const std::string& op) {
  return static_cast<int>(std::count_if(graph.nodes.begin(), graph.nodes.end(), [&](const Node& n) {
    return n.phase == phase && n.op == op;
  }));
}

int count_backward(const Graph& graph, const std::string& op) {
  return count_nodes(graph, Phase::backward, op);
}

// Backward of `output` in double agrees with complex step for every trainable weight and `also`.
void check_gradients(const Graph& forward, TensorId output, std::vector<TensorId> also = {}) {
  Experiment e;
  e.graph = forward;
  add_seed(e, output);
  e.values.resize(e.graph.tensors.size());
  e.wanted = std::move(also);
  for (size_t t = 0; t < e.graph.tensors.size(); ++t) {
    const auto id = static_cast<TensorId>(t);
    if (!is_persistent(e.graph.tensor(id).role)) continue;
    const bool variance = e.graph.tensor(id).role == Role::statistic;
    e.values[t] = draw_values(e.graph, id, variance ? uniform(0.5, 1.5) : uniform(-1, 1), 1);
    if (e.graph.tensor(id).trainable) e.wanted.push_back(id);
  }
  ASSERT_FALSE(e.wanted.empty());
  const Values got = gradients(e, e.wanted);
  for (TensorId t : e.wanted) {
    const std::vector<double> expected = complex_step(e, t);
    EXPECT_TRUE(std::any_of(expected.begin(), expected.end(), [](double d) { return d != 0; }))
        << e.graph.tensor(t).name << " changes nothing: a test that cannot fail";
    expect_near(got[static_cast<size_t>(t)], expected, 1e-9, e.graph.tensor(t).name);
  }
}

TEST(Differentiate, SumsOverBothSidesOfADiamond) {
  GraphBuilder b("diamond");
  const TensorId x = b.images({2, 2, 4, 5});
  const TensorId top = b.layer("relu", "top", {b.layer("conv2d", "stem", {x}, conv(3))});
  const TensorId left = b.layer("conv2d", "left", {top}, conv(3));
  const TensorId right = b.layer("batch_norm", "right", {top});
  const TensorId dst = b.layer("add", "join", {left, right});
  check_gradients(b.graph(), dst, {x});
  EXPECT_EQ(
      count_backward(differentiate(b.graph(), {dst}, {b.images({2, 3, 4, 5})}, {}).graph, "add"),
      1);
}

TEST(Differentiate, SumsOverEveryReader) {
  GraphBuilder b("fan");
  const TensorId x = b.images({1, 2, 3, 3});
  const TensorId top = b.layer("conv2d", "stem", {x}, conv(2));
  TensorId dst = b.layer("mul", "square", {top, top});
  for (const char* name : {"second", "third"}) {
    dst = b.layer("mul", name, {dst, b.layer("silu", str_cat(name, ".silu"), {top})});
  }
  check_gradients(b.graph(), dst, {x});
  // Two for the square's inputs and one for each silu: four gradients, three sums.
  EXPECT_EQ(
      count_backward(differentiate(b.graph(), {dst}, {b.images({1, 2, 3, 3})}, {}).graph, "add"),
      3);
}

TEST(Differentiate, LetsBatchNormSumTwoReadersItself) {
  GraphBuilder b("residual");
  TensorId x = b.images({2, 2, 3, 3});
  x = b.layer_outputs("batch_norm", "first", {b.layer("conv2d", "a", {x}, conv(2))},
                      {{"activation", std::string("relu")}})[0];
  const TensorId branch = b.layer("conv2d", "b", {x}, conv(2));
  const TensorId dst = b.layer_outputs("batch_norm", "second", {branch, x},
                                       {{"activation", std::string("relu")}})[0];
  check_gradients(b.graph(), dst);
  const Graph graph = differentiate(b.graph(), {dst}, {b.images({2, 2, 3, 3})}, {}).graph;
  EXPECT_EQ(count_backward(graph, "batch_norm_backward"), 2);
  EXPECT_EQ(count_backward(graph, "add"), 0);
}

TEST(Differentiate, AddsUpTheGradientsOfASharedWeight) {
  GraphBuilder b("shared");
  const TensorId x = b.images({1, 2, 3, 4});
  const TensorId first = b.layer("conv2d", "first", {x}, conv(2));
  const TensorId weight = b.graph().find("first.weight");
  const TensorId dst =
      b.layer("conv2d", "second", {b.layer("relu", "relu", {first}), weight}, conv(2));
  check_gradients(b.graph(), dst, {x});
  const Differentiated d = differentiate(b.graph(), {dst}, {b.images({1, 2, 3, 4})}, {});
  EXPECT_EQ(count_backward(d.graph, "conv2d_backward_weights"), 2);
  EXPECT_EQ(count_backward(d.graph, "add"), 1);
  EXPECT_EQ(d.graph.tensor(d.diffs[static_cast<size_t>(weight)]).role, Role::gradient);
  EXPECT_EQ(count_nodes(add_optimizer(d, {}), Phase::update, "sgd"), 1);
}

// Three convolutions and a ReLU, with the named weights frozen.
Graph chain(const std::vector<std::string>& frozen) {
  GraphBuilder b("chain");
  TensorId x = b.images({1, 2, 3, 3});
  for (const char* name : {"one", "two", "three"}) x = b.layer("conv2d", name, {x}, conv(2));
  b.layer("relu", "dst", {x});
  b.graph().add_tensor({"seed", {1, 2, 3, 3}, ElementType::f32, Role::data, {}, false});
  for (const std::string& name : frozen) {
    b.graph().tensor(b.graph().find(name + ".weight")).trainable = false;
  }
  return b.graph();
}

Differentiated differentiate_chain(const Graph& graph, std::vector<TensorId> wanted = {}) {
  return differentiate(graph, {graph.find("dst")}, {graph.find("seed")}, wanted);
}

TEST(Differentiate, DoesNotComputeTheGradientOfTheData) {
  const Differentiated d = differentiate_chain(chain({}));
  EXPECT_EQ(count_backward(d.graph, "conv2d_backward_weights"), 3);
  EXPECT_EQ(count_backward(d.graph, "conv2d_backward_data"), 2);
}

TEST(Differentiate, ComputesNoGradientOfAFrozenWeight) {
  const Graph graph = chain({"two"});
  const Differentiated d = differentiate_chain(graph);
  EXPECT_EQ(count_backward(d.graph, "conv2d_backward_weights"), 2);
  EXPECT_EQ(count_backward(d.graph, "conv2d_backward_data"), 2);
  EXPECT_EQ(d.diffs[static_cast<size_t>(graph.find("two.weight"))], kNoTensor);
  EXPECT_NE(d.diffs[static_cast<size_t>(graph.find("one.weight"))], kNoTensor);
}

TEST(Differentiate, StopsAtTheFirstTrainableLayer) {
  const Differentiated d = differentiate_chain(chain({"one", "two"}));
  EXPECT_EQ(count_backward(d.graph, "conv2d_backward_weights"), 1);
  EXPECT_EQ(count_backward(d.graph, "conv2d_backward_data"), 0);
}

TEST(Differentiate, AddsNothingWhenAllWeightsAreFrozen) {
  const Graph graph = chain({"one", "two", "three"});
  EXPECT_EQ(differentiate_chain(graph).graph, graph);
}

TEST(Differentiate, GivesTheGradientOfAWantedActivation) {
  const Graph graph = chain({"one", "two", "three"});
  const Differentiated d = differentiate_chain(graph, {graph.find("two")});
  EXPECT_EQ(count_backward(d.graph, "conv2d_backward_data"), 1);
  EXPECT_EQ(count_backward(d.graph, "conv2d_backward_weights"), 0);
  const TensorId diff = d.diffs[static_cast<size_t>(graph.find("two"))];
  ASSERT_NE(diff, kNoTensor);
  EXPECT_EQ(d.graph.tensor(diff).shape, (Shape{1, 2, 3, 3}));
  EXPECT_EQ(d.graph.tensor(diff).role, Role::difference);
}

TEST(Differentiate, IgnoresLayersThatTheOutputDoesNotReach) {
  const Graph graph = chain({});
  const Differentiated d = differentiate(graph, {graph.find("one")}, {graph.find("seed")}, {});
  EXPECT_EQ(count_backward(d.graph, "conv2d_backward_weights"), 1);
  EXPECT_EQ(d.diffs[static_cast<size_t>(graph.find("two.weight"))], kNoTensor);
}

TEST(Differentiate, LeavesTheForwardNodesAlone) {
  const Graph graph = chain({});
  const Graph trained = differentiate_chain(graph).graph;
  ASSERT_GT(trained.nodes.size(), graph.nodes.size());
  EXPECT_TRUE(std::equal(graph.nodes.begin(), graph.nodes.end(), trained.nodes.begin()));
}

TEST(Differentiate, NamesTheLayerThatHasNoGradient) {
  Graph graph = chain({});
  const TensorId dst = append_node(graph, Phase::forward, "conv2d_backward_data", "odd",
                                   {graph.find("one.weight"), graph.find("three")},
                                   {{"out_channels", int64_t{2}},
                                    {"kernel", both(3)},
                                    {"padding", ints({1, 1, 1, 1})},
                                    {"image", both(3)}})[0];
  expect_user_error([&] { differentiate(graph, {dst}, {graph.find("seed")}, {}); },
                    "conv2d_backward_data (layer odd) has no gradient");
}

// A classifier small enough to print.
Graph classifier() {
  GraphBuilder b("tiny");
  const TensorId x =
      b.layer("relu", "relu",
              {b.layer("linear", "hidden", {b.images({4, 3})}, {{"out_features", int64_t{2}}})});
  b.classify(b.layer("linear", "head", {x}, {{"out_features", int64_t{2}}, {"bias", int64_t{0}}}));
  return b.graph();
}

TEST(Differentiate, PrintsAsATrainingGraph) {
  const Graph forward = classifier();
  const Graph graph =
      add_optimizer(differentiate(forward, forward.find("loss")), {"sgd", {{"momentum", 0.0}}});
  std::string nodes;
  for (const Node& n : graph.nodes) {
    if (n.phase == Phase::forward) continue;
    nodes += str_cat(name_of(n.phase), ": ", n.op, " (");
    for (TensorId t : n.inputs) nodes += str_cat(' ', t == kNoTensor ? "-" : graph.tensor(t).name);
    nodes += " ) -> (";
    for (TensorId t : n.outputs) nodes += str_cat(' ', t == kNoTensor ? "-" : graph.tensor(t).name);
    nodes += " )\n";
  }
  EXPECT_EQ(nodes,
            "backward: softmax_cross_entropy_backward ( criterion.probabilities labels - ) -> "
            "( criterion.diff_logits )\n"
            "backward: linear_backward_weights ( relu criterion.diff_logits ) -> "
            "( head.diff_weights - )\n"
            "backward: linear_backward_data ( head.weight criterion.diff_logits ) -> "
            "( head.diff_src )\n"
            "backward: relu_backward ( relu head.diff_src ) -> ( relu.diff_src )\n"
            "backward: linear_backward_weights ( images relu.diff_src ) -> "
            "( hidden.diff_weights hidden.diff_bias )\n"
            "update: sgd ( hidden.weight hidden.diff_weights lr counter ) -> ( )\n"
            "update: sgd ( hidden.bias hidden.diff_bias lr counter ) -> ( )\n"
            "update: sgd ( head.weight head.diff_weights lr counter ) -> ( )\n");
}

TEST(AddOptimizer, MovesWeightsAgainstTheirGradients) {
  const Graph forward = classifier();
  const Differentiated d = differentiate(forward, forward.find("loss"));
  const Graph graph = add_optimizer(d, {"sgd", {{"momentum", 0.0}}});
  Values values(graph.tensors.size());
  for (size_t t = 0; t < graph.tensors.size(); ++t) {
    const auto id = static_cast<TensorId>(t);
    if (graph.tensor(id).role == Role::weight || graph.tensor(id).name == "images") {
      values[t] = draw_values(graph, id, uniform(-1, 1), 1);
    }
  }
  values[static_cast<size_t>(graph.find("labels"))] = {0, 1, 1, 0};
  values[static_cast<size_t>(graph.find("lr"))] = {0.5};
  values[static_cast<size_t>(graph.find("counter"))] = {0, 0, 0, 0};
  Interpreter<double> interpreter(graph);
  interpreter.set(values);
  interpreter.run();
  const double first_loss = interpreter.get(graph.find("loss"))[0];
  int moved = 0;
  for (size_t t = 0; t < d.diffs.size(); ++t) {
    if (d.diffs[t] == kNoTensor) continue;
    const std::vector<double> diff = interpreter.get(d.diffs[t]);
    std::vector<double> expected = values[t];
    for (size_t i = 0; i < expected.size(); ++i) expected[i] -= 0.5 * diff[i];
    EXPECT_EQ(interpreter.get(static_cast<TensorId>(t)), expected) << graph.tensors[t].name;
    ++moved;
  }
  EXPECT_EQ(moved, 3);
  interpreter.run();
  EXPECT_LT(interpreter.get(graph.find("loss"))[0], first_loss);
}

TEST(AddOptimizer, GivesEachTrainableWeightItsState) {
  const Graph graph = add_optimizer(differentiate_chain(chain({"two"})), {"sgd", {}});
  EXPECT_EQ(count_nodes(graph, Phase::update, "sgd"), 2);
  const TensorId state = graph.find("optimizer.momentum.one.weight");
  ASSERT_NE(state, kNoTensor);
  EXPECT_EQ(graph.tensor(state).role, Role::optimizer);
  EXPECT_EQ(graph.tensor(state).shape, (Shape{2, 2, 3, 3}));
  EXPECT_NE(graph.find("optimizer.momentum.three.weight"), kNoTensor);
  EXPECT_EQ(graph.find("optimizer.momentum.two.weight"), kNoTensor);
  const Node& update = graph.nodes.back();
  EXPECT_EQ(update.updates, (std::vector<TensorId>{graph.find("three.weight"),
                                                   graph.find("optimizer.momentum.three.weight")}));
}

TEST(AddOptimizer, SharesOneLearningRateAndCounter) {
  const Graph graph = add_optimizer(differentiate_chain(chain({})), {"sgd", {{"momentum", 0.0}}});
  EXPECT_EQ(graph.tensor(graph.find("lr")).shape, (Shape{1}));
  EXPECT_EQ(graph.tensor(graph.find("counter")).type, ElementType::i32);
  EXPECT_EQ(graph.find("lr#2"), kNoTensor);
  EXPECT_EQ(graph.find("counter#2"), kNoTensor);
}

TEST(AddOptimizer, RefusesOpsThatUpdateNothing) {
  const Differentiated d = differentiate_chain(chain({}));
  expect_user_error([&] { add_optimizer(d, {"relu", {}}); }, "'relu' is not an optimizer");
  expect_user_error(
      [&] {
        add_optimizer(d, {"batch_norm", {}});
      },
      "'batch_norm' is not an optimizer");
  expect_user_error([&] { add_optimizer(d, {"sdg", {}}); }, "there is no op called 'sdg'");
  expect_user_error(
      [&] {
        add_optimizer(d, {"sgd", {{"speed", 1.0}}});
      },
      "sgd has no attribute 'speed'");
}

TEST(InferenceGraph, FreezesStatisticsAndUpdatesNothing) {
  GraphBuilder b("net");
  const TensorId x = b.layer("conv2d", "conv", {b.images({1, 2, 1, 2})}, conv(2));
  b.layer("relu", "relu", {b.layer("batch_norm", "bn", {x})});
  ASSERT_FALSE(b.graph().nodes[1].updates.empty());
  const Graph graph = inference_graph(b.graph());
  ASSERT_EQ(graph.nodes.size(), 3u);
  EXPECT_EQ(graph.nodes[0], b.graph().nodes[0]);
  EXPECT_EQ(graph.nodes[1].attributes.integer("training"), 0);
  EXPECT_EQ(graph.nodes[1].outputs[0], b.graph().nodes[1].outputs[0]);
  EXPECT_EQ(graph.nodes[1].outputs[1], kNoTensor);
  EXPECT_EQ(graph.nodes[1].outputs[2], kNoTensor);
  EXPECT_TRUE(graph.nodes[1].updates.empty());
  EXPECT_EQ(inference_graph(graph), graph);
}

}  // namespace
}  // namespace thimble
