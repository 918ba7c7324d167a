#include "transforms/core/late_runs.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "memory/plan.h"
#include "models/side_network.h"
#include "models/trained.h"
#include "models/zoo.h"
#include "schedule/order.h"
#include "transforms/fixtures.h"

namespace thimble {
namespace {

using transforms_test::small_net;
using transforms_test::trained_state;
using transforms_test::training_graph;

int64_t live_bytes(const Graph& graph) {
  const auto backend = make_backend("portable");
  std::vector<NamedLayout> layouts;
  const Schedule s = reordered(make_schedule(graph, *backend, layouts), Order::early_update);
  return plan_memory(s, place_persistent({&s}, {})).lower_bound_bytes;
}

Runs all_once(const Graph& training, Phase phase) {
  Runs runs;
  for (size_t n = 0; n < training.nodes.size(); ++n) {
    const Node& node = training.nodes[n];
    const bool here = phase == Phase::forward ? node.phase == phase : node.gradient_of >= 0;
    if (here) runs.push_back({Run::Kind::first, static_cast<int32_t>(n)});
  }
  return runs;
}

// Of a layer's nodes of that phase: its place.
size_t last_run(const Graph& training, const Runs& runs, const std::string& layer, Phase phase) {
  size_t last = 0;
  for (size_t i = 0; i < runs.size(); ++i) {
    const Node& node = training.nodes[static_cast<size_t>(runs[i].node)];
    if (node.name == layer && node.phase == phase) last = i;
  }
  EXPECT_GT(last, 0u) << layer;
  return last;
}

// All forward nodes once, then the backward ones with any forward nodes again between them.
Runs drawn_runs(const Graph& training, uint64_t seed) {
  const std::vector<int32_t> forward = forward_nodes(training);
  Runs runs = all_once(training, Phase::forward);
  const RandomStream random(seed, 11);
  uint64_t draws = 0;
  for (const Run& backward : all_once(training, Phase::backward)) {
    while (random.below(draws++, 3) == 0) {
      // A stretch of them: what is made from each other.
      auto at = static_cast<size_t>(random.below(draws++, std::ssize(forward)));
      for (int64_t left = random.below(draws++, 6); left >= 0 && at < forward.size(); --left) {
        runs.push_back({Run::Kind::again, forward[at++]});
      }
    }
    runs.push_back(backward);
  }
  return runs;
}

TEST(LateRuns, TakeNoMoreMemoryAndGiveTheSameBits) {
  int smaller = 0;
  for (const char* model : {"mobilenet_v2", "resnet18_cifar"}) {
    const Graph plain = training_graph(small_net(model, 2));
    for (uint64_t seed = 0; seed < 6; ++seed) {
      SCOPED_TRACE(str_cat(model, " seed ", seed));
      const Runs runs = drawn_runs(plain, seed);
      const Runs late = late_runs(plain, runs);
      const Graph rewritten = recompute(plain, late);
      const int64_t before = live_bytes(recompute(plain, runs)), after = live_bytes(rewritten);
      EXPECT_LE(after, before);
      smaller += after < before;
      if (seed > 0) continue;
      EXPECT_EQ(trained_state(rewritten, plain, "portable"),
                trained_state(plain, plain, "portable"));
    }
  }
  EXPECT_GT(smaller, 3);
}

// The chain of the backbone is run again, and the network beside it with it.
TEST(LateRuns, OfASideNetworkWaitForTheGradientsOfItsBlock) {
  ModelOptions options;
  options.batch = 2;
  options.channels = 3;
  options.width = 0.35;
  options.classes = 10;
  options.height = options.width_px = 96;
  options.norm = "frozen";
  const Network network =
      with_rep_net(network_of(build_model("mobilenet_v2", options), options), {3, 96, 96});
  const Graph plain = training_graph(with_trained(graph_of(network, options), "side,head"));
  // Everything up to block 4, again before the first of its gradients.
  Runs runs = all_once(plain, Phase::forward);
  const std::vector<int32_t> forward = forward_nodes(plain);
  const auto of_block = [&](int32_t n, const std::string& block) {
    const std::string& name = plain.nodes[static_cast<size_t>(n)].name;
    return name.starts_with(block) || name.starts_with("side." + block);
  };
  const auto end = std::find_if(forward.begin(), forward.end(),
                                [&](int32_t n) { return of_block(n, "block5."); });
  bool again = false;
  for (const auto& r : all_once(plain, Phase::backward)) {
    if (!again && of_block(r.node, "block4.")) {
      again = true;
      for (auto n = forward.begin(); n != end; ++n) runs.push_back({Run::Kind::again, *n});
    }
    runs.push_back(r);
  }
  ASSERT_TRUE(again);
  const Runs late = late_runs(plain, runs);
  EXPECT_GT(last_run(plain, late, "side.block4.conv1", Phase::forward),
            last_run(plain, late, "block4.expand.conv", Phase::backward));
}

}  // namespace
}  // namespace thimble
