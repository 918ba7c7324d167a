#include "transforms/row_bands.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "memory/plan.h"
#include "models/zoo.h"
#include "ops/core/builder.h"
#include "planner/planner.h"
#include "schedule/order.h"
#include "support/sanitizers.h"
#include "transforms/core/technique.h"
#include "transforms/fixtures.h"
#include "transforms/masks.h"
#include "transforms/microbatch.h"
#include "transforms/recompute.h"

namespace thimble {
namespace {

using transforms_test::expect_same_step;
using transforms_test::small_net;
using transforms_test::training_graph;

const OptimizerSpec kMomentum = {"sgd", {{"momentum", 0.9}}};

// Everything kept or, with a checkpoint in the middle, the first half made again.
RecomputePlan simple_plan(const Graph& training, bool checkpoint) {
  RecomputePlan plan;
  plan.stage_begins = cut_into_stages(training);
  const auto stages = static_cast<int32_t>(plan.stage_begins.size()) - 1;
  plan.lean.assign(static_cast<size_t>(stages), checkpoint);
  const int32_t split = checkpoint ? stages / 2 : 0;
  for (int32_t s = 0; s < stages; ++s) plan.actions.push_back({false, s});
  for (int32_t s = stages; s-- > split;) plan.actions.push_back({true, s});
  for (int32_t s = 0; s < split; ++s) plan.actions.push_back({false, s});
  for (int32_t s = split; s-- > 0;) plan.actions.push_back({true, s});
  return plan;
}

int64_t band_count(const Graph& g) {
  return std::count_if(g.nodes.begin(), g.nodes.end(),
                       [](const Node& n) { return n.phase == Phase::forward && n.band > 0; });
}

TEST(RowBands, GiveTheGradientsOfTheWholeMaps) {
  for (const Model* model : zoo()) {
    SCOPED_TRACE(model->name);
    const Graph forward = small_net(model->name, 2, "frozen");
    const auto regions = find_row_bands(forward, 8);
    // Streams that read each other all the way have no region that reads one map.
    const bool streams = count_ops(forward, "add") + count_ops(forward, "split") > 0;
    EXPECT_EQ(regions.empty(), streams);
    if (regions.empty()) continue;
    const Graph plain = training_graph(forward, kMomentum);
    const Graph banded = training_graph(use_masks(use_row_bands(forward, regions)), kMomentum);
    EXPECT_GT(band_count(banded), 0);
    expect_same_step(recompute(banded, simple_plan(banded, true)), plain, 1e-5);
  }
}

TEST(RowBands, LeaveSplitsWhole) {
  GraphBuilder b("split");
  TensorId x = b.images({2, 3, 16, 16});
  x = b.layer("conv2d", "wide", {x}, {{"out_channels", int64_t{16}}});
  const auto parts = b.layer_outputs("split", "split", {x}, {{"sizes", ints({8, 8})}});
  x = b.layer("concat", "swap", {parts[1], parts[0]});
  x = b.layer("conv2d", "narrow", {x}, {{"out_channels", int64_t{2}}, {"stride", both(2)}});
  b.classify(b.layer("flatten", "flatten", {x}));
  for (const BandedRegion& region : find_row_bands(b.graph(), 8)) {
    for (size_t n = region.first; n < region.last; ++n) {
      EXPECT_NE(b.graph().nodes[n].op, "split");
    }
  }
}

// Every height of band of every way to cut it: odd sizes, strides, dilation, padding, pooling, a
// residual whose bands need fewer rows than the convolution beside it.
TEST(RowBands, OfAnyHeightGiveTheSameGradients) {
  GraphBuilder b("odd");
  TensorId x = b.images({2, 3, 19, 11});
  const auto conv = [&](const std::string& name, TensorId src, int64_t stride, int64_t dilation,
                        std::vector<int64_t> padding) {
    return b.layer("conv2d", name, {src},
                   {{"out_channels", int64_t{5}},
                    {"kernel", both(3)},
                    {"stride", both(stride)},
                    {"dilation", both(dilation)},
                    {"padding", ints(std::move(padding))}});
  };
  x = conv("first", x, 2, 1, {1, 1, 0, 2});
  const TensorId skip = b.layer("relu6", "act", {x});
  x = conv("second", skip, 1, 2, {2, 2, 2, 2});
  x = b.layer("batch_norm", "norm", {x, skip},
              {{"training", int64_t{0}}, {"activation", std::string("relu")}});
  x = b.layer("max_pool", "max", {x},
              {{"kernel", both(3)}, {"stride", both(1)}, {"padding", ints({1, 1, 1, 1})}});
  x = b.layer("average_pool", "average", {x}, {{"kernel", both(2)}, {"stride", both(2)}});
  x = b.layer("global_average_pool", "pool", {x});
  x = b.layer("flatten", "flatten", {x});
  b.classify(b.layer("linear", "fc", {x}, {{"out_features", int64_t{10}}}));
  const Graph& forward = b.graph();
  const Graph plain = training_graph(forward, kMomentum);
  const size_t last = 6;
  for (int64_t rows = 1; rows <= 4; ++rows) {
    SCOPED_TRACE(rows);
    BandedRegion region{0, last, forward.find("images"), forward.nodes[last - 1].outputs[0], rows};
    const Graph banded = training_graph(use_row_bands(forward, {region}), kMomentum);
    expect_same_step(banded, plain, 1e-5);
    expect_same_step(recompute(banded, simple_plan(banded, false)), plain, 1e-5);
    const Graph parts = accumulate_gradients(plain, 2);
    expect_same_step(recompute(accumulate_gradients(banded, 2), simple_plan(banded, false)), parts,
                     1e-5);
  }
}

TEST(RowBands, OfEvaluationNeedNoFrozenNorm) {
  const Graph forward = inference_graph(small_net("mobilenet_v2", 2, "batch"));
  const Graph banded = use_row_bands(forward, find_row_bands(forward, 8));
  EXPECT_GT(band_count(banded), 0);
  expect_same_step(banded, forward, 1e-5);
}

TEST(RowBands, NameTheNormThatNeedsWholeMaps) {
  const auto& all = techniques();
  const auto it = std::find_if(all.begin(), all.end(),
                               [](const Technique* t) { return t->name == "row_bands"; });
  ASSERT_NE(it, all.end());
  const auto refusal = [&](const std::string& norm) {
    return (*it)->apply(small_net("mobilenet_v2", 2, norm), 8).refusal;
  };
  EXPECT_EQ(refusal("batch"),
            "batch_norm needs whole maps for its statistics; --norm frozen does not");
  EXPECT_EQ(refusal("group"),
            "group_norm needs whole maps for its statistics; --norm frozen does not");
  EXPECT_EQ(refusal("frozen"), "");
}

// Bytes beside weights, statistics, optimizer state and the gradients of weights.
int64_t largest_activation_bytes(const MemoryPlan& plan) {
  int64_t most = 0;
  const auto steps = static_cast<int32_t>(plan.block_of_scratch.size());
  for (int32_t step = 0; step < steps; ++step) {
    const auto bytes = bytes_at_step(plan, step);
    int64_t sum = 0;
    for (Category c :
         {Category::saved, Category::temporaries, Category::scratchpad, Category::data}) {
      sum += bytes[static_cast<size_t>(c)];
    }
    most = std::max(most, sum);
  }
  return most;
}

int64_t activation_bytes(const Graph& graph) {
  std::vector<NamedLayout> layouts;
  const auto backend = make_backend("portable");
  Schedule s = reordered(make_schedule(graph, *backend, layouts), Order::smaller_first);
  return largest_activation_bytes(plan_memory(s, place_persistent({&s}, {})));
}

TEST(RowBands, MobileNetV2FitsIntoAFewMegabytes) {
  ModelOptions o;
  o.batch = 1;
  o.norm = "frozen";
  const Graph forward = build_model("mobilenet_v2", o);
  const Graph inference = inference_graph(forward);
  EXPECT_GT(activation_bytes(inference), 5'700'000);
  EXPECT_LE(activation_bytes(use_row_bands(inference, find_row_bands(inference, 4))), 2'600'000);
  const Graph training =
      training_graph(use_masks(use_row_bands(forward, find_row_bands(forward, 4))), kMomentum);
  EXPECT_LE(activation_bytes(recompute(training, simple_plan(training, true))), 12 << 20);
}

// The smallest plans, found by the planner alone.
TEST(RowBands, ThePlannerFindsThem) {
  PlanRequest request;
  ModelOptions o;
  o.batch = 1;
  o.norm = "frozen";
  request.forward = build_model("mobilenet_v2", o);
  request.optimizer = kMomentum;
  request.backend = "portable";
  request.budget_bytes = 1;
  const auto uses_bands = [](const Plan& plan) {
    return std::any_of(plan.techniques.begin(), plan.techniques.end(),
                       [](const std::string& t) { return t.starts_with("row_bands"); });
  };
  const Plan training = make_plan(request, {1e11, 1e10, 1e-6});
  EXPECT_TRUE(uses_bands(training));
  EXPECT_EQ(training.promise, Promise::same_math);
  EXPECT_LE(largest_activation_bytes(training.train.memory), 6 << 20);
  request.training = false;
  const Plan evaluation = make_plan(request, {1e11, 1e10, 1e-6});
  EXPECT_TRUE(uses_bands(evaluation));
  EXPECT_EQ(evaluation.promise, Promise::same_math);
  EXPECT_LE(largest_activation_bytes(evaluation.evaluate.memory), 2'600'000);
}

}  // namespace
}  // namespace thimble
