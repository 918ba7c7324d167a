#include "transforms/compress_saved.h"

#include <gtest/gtest.h>

#include <cmath>

#include "planner/planner.h"
#include "support/distance.h"
#include "support/sanitizers.h"
#include "transforms/fixtures.h"
#include "transforms/masks.h"

namespace thimble {
namespace {

using transforms_test::small_net;
using transforms_test::training_graph;

// Velocity from zero: after one step without decay, the gradients.
const OptimizerSpec kGradients = {"sgd", {{"momentum", 0.9}, {"weight_decay", 0.0}}};

struct Step {
  std::vector<double> gradients;
  double loss = 0;
};

Step one_step(const Graph& graph, const Graph& plain, const std::string& backend, int step = 0) {
  ArenaRun run(graph, backend);
  Values inputs = draw_inputs(plain, 3, 8);
  inputs[static_cast<size_t>(plain.find("counter"))] = {static_cast<double>(step), 9, 0, 0};
  for (size_t t = 0; t < plain.tensors.size(); ++t) {
    auto& values = inputs[t];
    if (plain.tensors[t].role == Role::optimizer) std::fill(values.begin(), values.end(), 0);
    if (!values.empty()) run.set(graph.find(plain.tensors[t].name), values);
  }
  run.run();
  Step result;
  for (const Tensor& t : plain.tensors) {
    if (t.role != Role::optimizer) continue;
    const auto values = run.get(graph.find(t.name));
    result.gradients.insert(result.gradients.end(), values.begin(), values.end());
  }
  result.loss = run.get(graph.find("loss"))[0];
  return result;
}

TEST(CompressSaved, KeepsTheForwardPassAndComesCloseToTheGradients) {
  std::vector<std::string> names = {"mobilenet_v1_patch"};
  if (!kSanitized) names.insert(names.end(), {"resnet18_cifar", "mobilenet_v2"});
  for (const std::string& model : names) {
    const Graph plain = training_graph(small_net(model, 4), kGradients);
    for (const std::string& backend : backend_names()) {
      const Step exact = one_step(plain, plain, backend);
      const Step eight = one_step(compress_saved(plain, 8), plain, backend);
      const Step four = one_step(compress_saved(plain, 4), plain, backend);
      EXPECT_EQ(eight.loss, exact.loss) << model;
      EXPECT_EQ(four.loss, exact.loss) << model;
      const double from_eight = relative_distance(eight.gradients, exact.gradients);
      const double from_four = relative_distance(four.gradients, exact.gradients);
      EXPECT_LT(from_eight, 0.07) << model << " on " << backend;
      EXPECT_LT(from_four, 0.9) << model << " on " << backend;
      EXPECT_GT(from_four, 2 * from_eight) << model << " on " << backend;
    }
  }
}

// Noise that is right on average goes down with the root of the number of draws: 16 draws, 4 times.
TEST(CompressSaved, GradientsAreNearlyRightOnAverage) {
  const Graph plain = training_graph(small_net("mobilenet_v1_patch", 4), kGradients);
  const Graph compressed = compress_saved(plain, 8);
  const std::string backend = backend_names().front();
  const Step exact = one_step(plain, plain, backend);
  std::vector<double> mean(exact.gradients.size());
  double one = 0;
  constexpr int kDraws = 16;
  for (int draw = 0; draw < kDraws; ++draw) {
    const Step got = one_step(compressed, plain, backend, draw);
    one += relative_distance(got.gradients, exact.gradients) / kDraws;
    for (size_t i = 0; i < mean.size(); ++i) mean[i] += got.gradients[i] / kDraws;
  }
  EXPECT_LT(relative_distance(mean, exact.gradients), 0.5 * one);
}

TEST(CompressSaved, WhatWaitsTakesAQuarterOrAnEighth) {
  const Graph plain = training_graph(small_net("resnet18_cifar", 4));
  for (const int64_t bits : {8, 4}) {
    const Graph graph = compress_saved(plain, bits);
    int64_t compressed = 0;
    for (const Node& node : graph.nodes) {
      if (node.op != "quantize") continue;
      ++compressed;
      EXPECT_EQ(node.phase, Phase::forward);
      const Shape& src = graph.tensor(node.inputs[0]).shape;
      const int64_t groups = src[0] * ((src.elements() / src[0] + 255) / 256);
      EXPECT_EQ(graph.tensor(node.outputs[0]).shape.elements(), groups * (8 + 32 * bits));
      // Whoever reads the values in backward reads what was decoded.
      for (const Node& reader : graph.nodes) {
        if (reader.phase == Phase::forward) continue;
        EXPECT_EQ(std::count(reader.inputs.begin(), reader.inputs.end(), node.inputs[0]), 0);
      }
    }
    EXPECT_GE(compressed, 20);
  }
}

TEST(CompressSaved, LeavesMasksStatisticsAndSmallTensorsAlone) {
  const Graph graph = compress_saved(training_graph(small_net("resnet18_cifar", 4)), 8);
  for (const Node& node : graph.nodes) {
    if (node.op != "quantize") continue;
    const Tensor& src = graph.tensor(node.inputs[0]);
    EXPECT_EQ(src.type, ElementType::f32);
    EXPECT_GE(src.shape.elements(), 4096) << src.name;
  }
}

// A bit for each activation says what it let through: asking approximate values costs five times
// the distance to the gradients.
TEST(CompressSaved, ActivationsKeepTheirSigns) {
  const Graph plain = training_graph(use_masks(small_net("mobilenet_v2", 4)));
  for (const Node& node : compress_saved(plain, 8).nodes) {
    if (node.op != "batch_norm_backward" || node.attributes.text("activation") == "none") continue;
    const bool decoded = node.inputs[0] >= std::ssize(plain.tensors);
    EXPECT_EQ(decoded, node.inputs.size() > 8 && node.inputs[8] != kNoTensor) << node.name;
  }
}

// The planner's own choice: faster in the same bytes than anything exact, and only when it may.
TEST(CompressSaved, IsChosenWhenAllowedAndNeeded) {
  if (kSanitized) GTEST_SKIP() << "sanitizers take memory of their own";
  PlanRequest request;
  request.forward = small_net("resnet18_cifar", 32);
  request.optimizer = {"sgd", {}};
  const auto planned = [&](double share, const std::vector<std::string>& allow) {
    request.allow = allow;
    return transforms_test::plan_near_the_smallest(request, {}, share);
  };
  const Plan exact = planned(1.45, {});
  EXPECT_EQ(exact.promise, Promise::bit_exact);
  const Plan plan = planned(1.45, {"compress-saved"});
  EXPECT_EQ(plan.promise, Promise::approximate);
  EXPECT_TRUE(text_of(plan.numerics).starts_with("microbatch=1,compress_saved=1 runs "));
  const Plan smaller = planned(1.3, {"compress-saved", "compress-saved-4bit"});
  EXPECT_TRUE(text_of(smaller.numerics).starts_with("microbatch=1,compress_saved_4bit=1 runs "));
  EXPECT_LT(smaller.arena_bytes, plan.arena_bytes);
}

}  // namespace
}  // namespace thimble
