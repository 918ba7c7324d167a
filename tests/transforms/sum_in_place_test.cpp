#include "transforms/sum_in_place.h"

#include <gtest/gtest.h>

#include "models/zoo.h"
#include "ops/core/builder.h"
#include "schedule/order.h"
#include "support/sanitizers.h"
#include "transforms/fixtures.h"
#include "transforms/invert.h"
#include "transforms/masks.h"

namespace thimble {
namespace {

using transforms_test::drawn_plan;
using transforms_test::small_net;
using transforms_test::trained_state;
using transforms_test::training_graph;

TEST(SumInPlace, GivesTheSameBits) {
  std::vector<std::string> nets = {"layerwise_invertible"};
  if (!kSanitized) {
    nets.insert(nets.end(), {"hybrid_reversible", "revnet18", "resnet18_cifar", "mobilenet_v2"});
  }
  for (const std::string& net : nets) {
    const Graph plain = training_graph(use_masks(small_net(net, 3)), {"sgd", {{"momentum", 0.9}}});
    const Graph fused = sum_in_place(plain);
    EXPECT_GT(count_ops(fused, "conv2d_backward_data_sum"), 0) << net;
    for (const std::string& backend : backend_names()) {
      EXPECT_TRUE(trained_state(plain, plain, backend) == trained_state(fused, plain, backend))
          << net << " on " << backend;
    }
  }
}

// Also where the forward pass runs again, or from its results.
TEST(SumInPlace, GivesTheSameBitsBehindOtherTechniques) {
  const Graph plain = training_graph(use_masks(small_net("layerwise_invertible", 3)));
  const Graph again = recompute(plain, drawn_plan(plain, 1));
  const Graph inverted = *invert(plain, kUsualSnrDb).graph;
  for (const std::string& backend : backend_names()) {
    EXPECT_TRUE(trained_state(plain, plain, backend) ==
                trained_state(sum_in_place(again), plain, backend))
        << backend;
    EXPECT_TRUE(trained_state(inverted, plain, backend) ==
                trained_state(sum_in_place(inverted), plain, backend))
        << backend;
  }
}

TEST(SumInPlace, AddsWhatConvolutionsMakeToStreamsAndGradients) {
  GraphBuilder b("net");
  const auto conv = [&](const char* name, TensorId src, int64_t channels) {
    return b.layer(
        "conv2d", name, {src},
        {{"out_channels", channels}, {"kernel", both(3)}, {"padding", ints({1, 1, 1, 1})}});
  };
  const TensorId stem = conv("stem", b.images({2, 3, 8, 8}), 4);
  TensorId x = b.layer("add", "sum", {stem, conv("branch", stem, 4)});
  x = b.layer("flatten", "flatten", {b.layer("global_average_pool", "pool", {x})});
  b.classify(b.layer("linear", "fc", {x}, {{"out_features", int64_t{5}}}));
  const Graph fused = sum_in_place(training_graph(b.graph()));
  EXPECT_EQ(count_ops(fused, "add"), 0);
  EXPECT_EQ(count_ops(fused, "conv2d_sum"), 1);
  EXPECT_EQ(count_ops(fused, "conv2d"), 1);  // the stem is added to nothing
  EXPECT_EQ(count_ops(fused, "conv2d_backward_data_sum"), 1);
}

// Of maps that are made in several parts, on each backend: more than half a MiB, down to parts of
// one example.
TEST(SumInPlace, GivesTheSameBitsInParts) {
  for (const auto& [channels, side] : {std::pair<int64_t, int64_t>{16, 64}, {32, 96}, {8, 96}}) {
    GraphBuilder b("net");
    const auto conv = [&, channels = channels](const char* name, TensorId src) {
      return b.layer(
          "conv2d", name, {src},
          {{"out_channels", channels}, {"kernel", both(3)}, {"padding", ints({1, 1, 1, 1})}});
    };
    const TensorId stem = conv("stem", b.images({6, 3, side, side}));
    TensorId x = b.layer("add", "sum", {stem, conv("branch", stem)});
    x = b.layer("flatten", "flatten", {b.layer("global_average_pool", "pool", {x})});
    b.classify(b.layer("linear", "fc", {x}, {{"out_features", int64_t{5}}}));
    const Graph plain = training_graph(b.graph(), {"sgd", {{"momentum", 0.9}}});
    const Graph fused = sum_in_place(plain);
    EXPECT_EQ(count_ops(fused, "conv2d_sum"), 1);
    for (const std::string& backend : backend_names()) {
      EXPECT_TRUE(trained_state(plain, plain, backend, 1) ==
                  trained_state(fused, plain, backend, 1))
          << channels << " channels on " << backend;
    }
    if (kSanitized) return;
  }
}

TEST(SumInPlace, TakesFewerBytes) {
  const auto bytes = [](const Graph& graph) {
    std::vector<NamedLayout> layouts;
    const auto backend = make_backend("portable");
    const Schedule s = reordered(make_schedule(graph, *backend, layouts), Order::smaller_first);
    const MemoryPlan plan = plan_memory(s, place_persistent({&s}, {}));
    return plan.arena_bytes - plan.persistent_bytes;
  };
  const Graph inverted =
      *invert(training_graph(use_masks(small_net("layerwise_invertible", 16))), kAnySnr).graph;
  constexpr int64_t kHalf = 16 * 4 * 32 * 32 * 4;  // of a map's channels
  EXPECT_LT(bytes(sum_in_place(inverted)), bytes(inverted) - kHalf / 2);
}

}  // namespace
}  // namespace thimble
