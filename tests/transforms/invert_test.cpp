#include "transforms/invert.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "ops/core/builder.h"
#include "ops/core/signal_loss.h"
#include "planner/candidates.h"
#include "planner/planner.h"
#include "schedule/order.h"
#include "support/sanitizers.h"
#include "transforms/core/again.h"
#include "transforms/fixtures.h"
#include "transforms/masks.h"
#include "transforms/microbatch.h"
#include "transforms/sum_in_place.h"

namespace thimble {
namespace {

using transforms_test::drawn_plan;
using transforms_test::expect_same_step;
using transforms_test::small_net;
using transforms_test::training_graph;

const OptimizerSpec kMomentum = {"sgd", {{"momentum", 0.9}}};
const std::map<std::string, std::string> kLeaky = {{"activation", "leaky_relu"}};
constexpr double kTolerance = 1e-4;  // of gradients in float, relative

Graph inverted(const Graph& training, int64_t snr_db = kUsualSnrDb) {
  Rewrite rewrite = invert(training, snr_db);
  EXPECT_EQ(rewrite.refusal, "");
  return rewrite.graph ? *rewrite.graph : training;
}

// What waits from the forward to the backward pass.
int64_t saved_bytes(const Graph& g) {
  std::vector<bool> forward(g.tensors.size()), counted(g.tensors.size());
  int64_t bytes = 0;
  for (const Node& node : g.nodes) {
    for (TensorId t : node.inputs) {
      const auto i = static_cast<size_t>(t);
      if (t == kNoTensor || node.phase == Phase::forward || !forward[i] || counted[i]) continue;
      counted[i] = true;
      bytes += g.tensor(t).shape.elements() * element_bytes(g.tensor(t).type);
    }
    for (TensorId t : node.outputs) {
      if (t != kNoTensor && node.phase == Phase::forward) forward[static_cast<size_t>(t)] = true;
    }
  }
  return bytes;
}

// Of a step in its best order, without weights and what else stands from step to step.
int64_t transient_bytes(const Graph& graph) {
  std::vector<NamedLayout> layouts;
  const auto backend = make_backend("portable");
  const Schedule s = reordered(make_schedule(graph, *backend, layouts), Order::smaller_first);
  const MemoryPlan plan = plan_memory(s, place_persistent({&s}, {}));
  return plan.arena_bytes - plan.persistent_bytes;
}

int64_t count_of(const Graph& g, const std::string& op) {
  return std::count_if(g.nodes.begin(), g.nodes.end(), [&](const Node& n) { return n.op == op; });
}

TensorId conv(GraphBuilder& b, const std::string& name, TensorId src, int64_t channels) {
  return b.layer(
      "conv2d", name, {src},
      {{"out_channels", channels}, {"kernel", both(3)}, {"padding", ints({1, 1, 1, 1})}});
}

Attributes leaky_norm(double floor = 0.1) {
  return {{"activation", std::string("leaky_relu")}, {"scale_floor", floor}};
}

Graph classified(GraphBuilder& b, TensorId x) {
  x = b.layer("flatten", "flatten", {b.layer("global_average_pool", "pool", {x})});
  b.classify(b.layer("linear", "fc", {x}, {{"out_features", int64_t{10}}}));
  return b.graph();
}

// Convolution, batch norm, leaky ReLU, joined or apart; maps of 4 * 4 * 8 * 8 floats are 4096
// bytes.
Graph chain(int64_t blocks, bool joined, double floor = 0.1) {
  GraphBuilder b("chain");
  TensorId x = b.images({4, 3, 8, 8});
  for (int64_t i = 0; i < blocks; ++i) {
    x = conv(b, str_cat("conv", i), x, 4);
    Attributes norm = leaky_norm(floor);
    if (!joined) norm.set("activation", std::string("none"));
    x = b.layer("batch_norm", str_cat("norm", i), {x}, norm);
    if (!joined) x = b.layer("leaky_relu", str_cat("act", i), {x});
  }
  return classified(b, conv(b, "head", x, 4));
}

// y1 = x1 + f(x2), y2 = x2 + g(y1), of halves of 4 * 4 * 8 * 8 floats.
Graph couplings(int64_t blocks) {
  GraphBuilder b("couplings");
  const TensorId stem = conv(b, "stem", b.images({4, 3, 8, 8}), 8);
  const auto halves = b.layer_outputs("split", "split", {stem}, {{"sizes", ints({4, 4})}});
  TensorId x1 = halves[0], x2 = halves[1];
  const auto branch = [&](const std::string& name, TensorId x) {
    x = b.layer("batch_norm", name + ".norm", {conv(b, name + ".conv1", x, 4)}, leaky_norm());
    return conv(b, name + ".conv2", x, 4);
  };
  for (int64_t i = 0; i < blocks; ++i) {
    x1 = b.layer("add", str_cat("sum1_", i), {x1, branch(str_cat("f", i), x2)});
    x2 = b.layer("add", str_cat("sum2_", i), {x2, branch(str_cat("g", i), x1)});
  }
  return classified(b, conv(b, "head", b.layer("concat", "concat", {x1, x2}), 4));
}

TEST(Invert, GivesTheGradientsOfKeptTensors) {
  for (const char* norm : {"batch", "frozen"}) {
    const Graph forward = small_net("resnet18_cifar", 2, norm, kLeaky);
    for (const Graph& net : {forward, use_masks(forward)}) {
      const Graph plain = training_graph(net, kMomentum);
      for (int64_t what : {kUsualSnrDb, kSumsAlone}) {
        SCOPED_TRACE(str_cat(norm, " norm, option ", what));
        expect_same_step(inverted(plain, what), plain, kTolerance);
        if (kSanitized) return;
      }
    }
  }
}

TEST(Invert, GivesTheGradientsWhateverIsMadeAgain) {
  const Graph plain =
      training_graph(use_masks(small_net("resnet18_cifar", 2, "batch", kLeaky)), kMomentum);
  for (int64_t what : {kUsualSnrDb, kSumsAlone}) {
    const Graph rebuilt = inverted(plain, what);
    for (uint64_t seed = 0; seed < (kSanitized ? 1 : 3); ++seed) {
      SCOPED_TRACE(seed);
      expect_same_step(recompute(rebuilt, drawn_plan(rebuilt, seed)), plain, kTolerance);
    }
  }
}

// Rebuilt tensors do not depend on what else is made again: a run that goes on with the technique
// alone keeps its bits.
TEST(Invert, GivesTheSameBitsWhateverIsMadeAgain) {
  const Graph plain = training_graph(use_masks(small_net("resnet18_cifar", 2, "batch", kLeaky)));
  const Graph rebuilt = inverted(plain);
  const Graph again = recompute(rebuilt, drawn_plan(rebuilt, 1));
  for (const std::string& backend : backend_names()) {
    EXPECT_TRUE(transforms_test::trained_state(rebuilt, plain, backend) ==
                transforms_test::trained_state(again, plain, backend))
        << backend;
  }
}

TEST(Invert, GivesTheGradientsOfCouplings) {
  for (int64_t blocks : {1, 8}) {
    const Graph plain = training_graph(couplings(blocks), kMomentum);
    const Graph rebuilt = inverted(plain);
    expect_same_step(rebuilt, plain, kTolerance);
    expect_same_step(recompute(rebuilt, drawn_plan(rebuilt, 2)), plain, kTolerance);
  }
}

TEST(Invert, GivesTheGradientsInMicrobatches) {
  const Graph plain = accumulate_gradients(
      training_graph(small_net("resnet18_cifar", 2, "frozen", kLeaky), kMomentum), 2);
  const Graph rebuilt = accumulate_gradients(
      inverted(training_graph(small_net("resnet18_cifar", 2, "frozen", kLeaky), kMomentum)), 2);
  expect_same_step(rebuilt, plain, kTolerance);
}

// A block keeps what the next convolution reads and no input of its batch norm.
TEST(Invert, HalvesWhatAChainOfBlocksSaves) {
  constexpr int64_t kMap = 4 * 4 * 8 * 8 * 4;
  for (bool joined : {true, false}) {
    const Graph plain = training_graph(chain(5, joined));
    const Graph rebuilt = inverted(plain);
    EXPECT_EQ(saved_bytes(plain) - saved_bytes(rebuilt), 5 * kMap);
    EXPECT_EQ(count_of(rebuilt, "batch_norm_inverse"), 5);
    expect_same_step(rebuilt, plain, kTolerance);
  }
}

TEST(Invert, SavesOfCouplingsOnlyTheLastMaps) {
  const auto difference = [](int64_t blocks) {
    const Graph plain = training_graph(couplings(blocks));
    return saved_bytes(plain) - saved_bytes(inverted(plain));
  };
  // Of each block two inputs of branches, and in each branch a convolution's result and its
  // activation; the statistics stay.
  constexpr int64_t kMap = 4 * 4 * 8 * 8 * 4;
  EXPECT_EQ(difference(3) - difference(2), 6 * kMap);
  EXPECT_GT(transient_bytes(training_graph(couplings(32))),
            transient_bytes(training_graph(couplings(4))) + 28 * 6 * kMap);
  const int64_t statistics = 28 * 4 * 64;  // two of each branch, of 64 bytes
  const int64_t few = transient_bytes(inverted(training_graph(couplings(4)), kAnySnr));
  const int64_t many = transient_bytes(inverted(training_graph(couplings(32)), kAnySnr));
  EXPECT_GE(many, few);  // where the peak lies is another matter
  EXPECT_LE(many, few + statistics);
}

TEST(Invert, KeepsNoMaskWhereTheInverseMakesOne) {
  const Graph rebuilt =
      inverted(training_graph(use_masks(small_net("resnet18_cifar", 2, "batch", kLeaky))));
  int64_t kept = 0, made = 0;
  for (const Node& node : rebuilt.nodes) {
    if (node.op == "batch_norm") kept += node.outputs[3] != kNoTensor;
    if (node.op == "batch_norm_inverse") made += node.outputs.at(1) != kNoTensor;
  }
  EXPECT_EQ(made, 16);  // all of 17 but the last one, whose output nobody saves
  EXPECT_EQ(kept, 1);
}

// Each division may make errors larger: a chain of them begins again from kept tensors.
TEST(Invert, KeepsATensorWhereTheChainWouldBecomeNoise) {
  ModelOptions o = {.batch = 2, .width = 0.25, .variants = {{"depth", "12"}}};
  o.height = 16;
  const Graph plain = training_graph(build_model("layerwise_invertible", o), kMomentum);
  int64_t before = saved_bytes(plain);
  for (int64_t snr_db : {int64_t{125}, int64_t{110}, int64_t{60}, kAnySnr}) {
    SCOPED_TRACE(snr_db);
    const Rewrite rewrite = invert(plain, snr_db);
    ASSERT_TRUE(rewrite.graph);
    EXPECT_GE(rewrite.snr_db, snr_db == kAnySnr ? -1000.0 : static_cast<double>(snr_db));
    EXPECT_LT(saved_bytes(*rewrite.graph), before);
    before = saved_bytes(*rewrite.graph);
    // Fresh norms lose nothing: leaky ReLU's 8.3 dB a layer alone, over some three layers here.
    if (snr_db == 125 || snr_db == 110) expect_same_step(*rewrite.graph, plain, 10 * kTolerance);
  }
  EXPECT_LT(invert(plain, kAnySnr).snr_db, 0);  // twelve layers of 13.3 dB
}

// Of the zoo's reversible networks, with each norm: to rounding in double, where ReLUs do not flip.
TEST(Invert, GivesTheGradientsOfReversibleNetworks) {
  for (const char* model : {"revnet18", "irevnet", "layerwise_invertible", "hybrid_reversible"}) {
    for (const char* norm : {"batch", "frozen", "group"}) {
      SCOPED_TRACE(str_cat(model, ", ", norm));
      const Graph plain = training_graph(small_net(model, 2, norm), kMomentum);
      std::vector<Graph> checked;
      for (int64_t snr_db : {kUsualSnrDb, kSumsAlone}) {
        const Rewrite rewrite = invert(plain, snr_db);
        ASSERT_TRUE(rewrite.graph) << rewrite.refusal;
        if (std::ranges::count(checked, *rewrite.graph) > 0) continue;
        checked.push_back(*rewrite.graph);
        EXPECT_LT(saved_bytes(*rewrite.graph), saved_bytes(plain));
        expect_same_step(*rewrite.graph, plain, 0.05);
      }
    }
  }
}

constexpr Inside kInsides[] = {Inside::again, Inside::inverted, Inside::with_entry};

Graph deep(const std::string& model, const std::string& depth,
           std::map<std::string, std::string> variants = {}) {
  variants["depth"] = depth;
  ModelOptions o = {.batch = 2, .width = 0.25, .variants = std::move(variants)};
  o.height = 16;
  return training_graph(use_masks(build_model(model, o)), kMomentum);
}

// Bytes do not grow with depth where everything follows from what lies behind it.
TEST(Invert, SavesTheSameAtEveryDepth) {
  const auto saved = [](const std::string& model, Inside inside, const char* depth) {
    const Graph plain = deep(model, depth);
    int64_t statistics = 0;
    for (const Node& node : plain.nodes) {
      if (node.op != "batch_norm") continue;
      statistics += 2 * plain.tensor(node.outputs[1]).shape.elements() * 4;
    }
    return saved_bytes(inverted(plain, invert_option(kAnySnr, inside))) - statistics;
  };
  EXPECT_EQ(saved("layerwise_invertible", Inside::again, "24"),
            saved("layerwise_invertible", Inside::again, "6"));
  for (Inside inside : kInsides) {
    EXPECT_EQ(saved("hybrid_reversible", inside, "12"), saved("hybrid_reversible", inside, "6"));
  }
}

// However a coupling's branch is had again.
TEST(Invert, GivesTheGradientsOfBranchesFromTheirEnds) {
  for (const char* coupling : {"add", "fixed_point"}) {
    for (const char* pools : {"channel", "alternate"}) {
      const Graph plain = deep("hybrid_reversible", "4",
                               {{"coupling", coupling}, {"pools", pools}, {"layers", "2"}});
      for (Inside inside : {Inside::inverted, Inside::with_entry}) {
        SCOPED_TRACE(str_cat(coupling, ' ', pools, ' ', static_cast<int>(inside)));
        const Graph rebuilt = inverted(plain, invert_option(kUsualSnrDb, inside));
        expect_same_step(rebuilt, plain, 0.05);  // in float ReLUs flip; in double to 1e-10
        expect_same_step(sum_in_place(recompute(rebuilt, drawn_plan(rebuilt, 2))), plain, 0.05);
        if (kSanitized) return;
      }
    }
  }
}

// At the peak of a step, of an example, in maps of all channels: the streams and their gradients,
// and of one branch, which has half of the channels, a map and its gradient.
TEST(Invert, OfHybridsHoldsTwoMapsAndAHalf) {
  const auto bytes = [](int64_t batch, Inside inside) {
    ModelOptions o = {.batch = batch, .variants = {{"depth", "8"}}};
    o.height = 16;
    const Graph plain = training_graph(use_masks(build_model("hybrid_reversible", o)), kMomentum);
    return transient_bytes(sum_in_place(inverted(plain, invert_option(kAnySnr, inside))));
  };
  constexpr double kMap = 32 * 16 * 16 * 4;
  double before = std::numeric_limits<double>::max();
  for (Inside inside : kInsides) {
    const double example = static_cast<double>(bytes(8, inside) - bytes(4, inside)) / 4;
    EXPECT_LE(example, before);
    before = example;
  }
  EXPECT_NEAR(before, 2.5 * kMap, 0.05 * kMap);
}

TEST(Invert, RefusesBranchesWithoutInvertibleLayers) {
  for (const char* model : {"revnet18", "layerwise_invertible", "resnet18_cifar"}) {
    const Graph plain = training_graph(small_net(model, 2));
    EXPECT_EQ(invert(plain, invert_option(kUsualSnrDb, Inside::inverted)).refusal,
              "no coupling's branch has layers that can be inverted")
        << model;
  }
}

// Of fixed-point couplings, whose branches run again, not one bit differs.
TEST(Invert, OfFixedPointCouplingsGivesTheSameBits) {
  const ThreadCount threads(1);  // small maps: others would only wait
  const Graph plain =
      deep("hybrid_reversible", kSanitized ? "4" : "64", {{"coupling", "fixed_point"}});
  const Graph rebuilt = inverted(plain, kExact);
  EXPECT_GT(count_of(rebuilt, "fixed_point_add_inverse"), 0);
  EXPECT_LT(saved_bytes(rebuilt), saved_bytes(plain) / 10);
  for (const std::string& backend : backend_names()) {
    const int steps = backend == "portable" ? 1 : 100;
    constexpr double kRate = 1e-3;
    const auto state = transforms_test::trained_state(plain, plain, backend, steps, kRate);
    EXPECT_TRUE(transforms_test::trained_state(rebuilt, plain, backend, steps, kRate) == state)
        << backend;
    for (const std::vector<std::byte>& values : state) {
      float first = 0;
      std::memcpy(&first, values.data(), sizeof(first));
      EXPECT_TRUE(std::isfinite(first)) << backend;
    }
  }
}

std::string refusal(const Graph& forward) {
  return invert(training_graph(forward), kUsualSnrDb).refusal;
}

TEST(Invert, SaysWhatLosesItsInput) {
  EXPECT_EQ(refusal(use_masks(small_net("resnet18_cifar", 2))),
            "relu of stage4.block2.norm2 loses what is below zero; leaky_relu does not");
  EXPECT_EQ(refusal(chain(2, true, 0)),
            "gamma of norm1 may come near zero; scale_floor keeps its scale away from it");
  EXPECT_EQ(refusal(small_net("lenet", 2)),
            "no saved tensor follows from tensors that lie behind it");
}

PlanRequest request_of(const Graph& forward) {
  PlanRequest request;
  request.forward = forward;
  request.optimizer = kMomentum;
  request.backend = "portable";
  request.budget_bytes = 1;
  return request;
}

bool uses_inverses(const Plan& plan) {
  return std::any_of(plan.techniques.begin(), plan.techniques.end(),
                     [](const std::string& t) { return t.starts_with("invert"); });
}

TEST(Invert, ThePlannerFindsItAndPinsIt) {
  if (kSanitized) GTEST_SKIP() << "sanitizers take memory of their own";
  PlanRequest request = request_of(small_net("resnet18_cifar", 16, "batch", kLeaky));
  const Plan plan = transforms_test::plan_near_the_smallest(request, {1e11, 1e10, 1e-6}, 1.5);
  EXPECT_TRUE(uses_inverses(plan));
  EXPECT_EQ(plan.promise, Promise::same_math);
  EXPECT_TRUE(text_of(plan.numerics).starts_with("microbatch=1,invert")) << text_of(plan.numerics);
  request.budget_bytes = 0;
  const Plan free = make_plan(request, {1e11, 1e10, 1e-6});
  EXPECT_FALSE(uses_inverses(free));
  EXPECT_EQ(free.promise, Promise::bit_exact);
  // A run that began with it goes on with it, whatever there is room for.
  request.numerics = plan.numerics;
  EXPECT_TRUE(uses_inverses(make_plan(request, {1e11, 1e10, 1e-6})));
}

// `--min-snr` reaches the plan: the smaller, the fewer bytes, and it says what that costs.
TEST(Invert, ThePlanKeepsTheLeastRatioThatWasAskedFor) {
  if (kSanitized) GTEST_SKIP() << "sanitizers take memory of their own";
  ModelOptions o = {.batch = 8, .width = 0.5, .variants = {{"depth", "12"}}};
  PlanRequest request = request_of(build_model("layerwise_invertible", o));
  request.without = {"recompute", "row_bands", "microbatch"};
  int64_t bytes = std::numeric_limits<int64_t>::max();
  for (int64_t snr_db : {int64_t{120}, kUsualSnrDb, int64_t{60}, kAnySnr}) {
    SCOPED_TRACE(snr_db);
    request.min_snr_db = snr_db;
    const Plan plan = make_plan(request, {1e11, 1e10, 1e-6});
    EXPECT_LT(plan.arena_bytes, bytes);
    bytes = plan.arena_bytes;
    EXPECT_EQ(plan.promise,
              snr_db == 60 || snr_db == kAnySnr ? Promise::approximate : Promise::same_math);
    if (snr_db == kAnySnr) {
      EXPECT_LT(plan.predicted_snr_db, 0);
    } else {
      EXPECT_GE(plan.predicted_snr_db, static_cast<double>(snr_db));
      EXPECT_LT(plan.predicted_snr_db, static_cast<double>(snr_db + 20));
    }
    EXPECT_EQ(text_of(plan.numerics), str_cat("microbatch=1,invert=", snr_db));
  }
}

// In the same bytes, what follows from later results costs less time than running again.
TEST(Invert, IsFasterThanRecomputingAlone) {
  const auto seconds = [](const std::map<std::string, std::string>& variants, int64_t bytes) {
    const Candidates c = find_candidates(
        request_of(small_net("resnet18_cifar", 16, "batch", variants)), {1e11, 1e10, 1e-6});
    double best = std::numeric_limits<double>::infinity();
    for (const Candidate& x : c.useful) {
      if (x.arena_bytes <= bytes) best = std::min(best, x.seconds / c.plain.seconds);
    }
    return best;
  };
  const int64_t bytes = 13 << 20;
  EXPECT_LT(seconds(kLeaky, bytes), seconds({{"activation", "relu"}}, bytes));
}

}  // namespace
}  // namespace thimble
