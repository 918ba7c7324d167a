#include "transforms/small_optimizer_state.h"

#include <gtest/gtest.h>

#include "planner/planner.h"
#include "transforms/fixtures.h"
#include "transforms/microbatch.h"

namespace thimble {
namespace {

using transforms_test::small_net;
using transforms_test::training_graph;

const OptimizerSpec kOptimizers[] = {{"sgd", {{"momentum", 0.9}}}, {"adamw", {}}};

int64_t optimizer_bytes(const Graph& graph, const std::string& backend) {
  ArenaRun run(graph, backend);
  int64_t bytes = 0;
  for (const Buffer& b : run.schedule().buffers) {
    if (b.category == Category::optimizer) bytes += b.bytes;
  }
  return bytes;
}

// 260 bytes for 256 values, but four bytes for each of a bias or a norm.
TEST(SmallOptimizerState, TakesAQuarter) {
  for (const OptimizerSpec& optimizer : kOptimizers) {
    const Graph plain = training_graph(small_net("resnet18_cifar", 2), optimizer);
    const Graph small = small_optimizer_state(plain);
    for (const std::string& backend : backend_names()) {
      const auto before = static_cast<double>(optimizer_bytes(plain, backend));
      const auto after = static_cast<double>(optimizer_bytes(small, backend));
      EXPECT_LT(after, 0.275 * before) << optimizer.op << " on " << backend;
    }
  }
}

// A file holds plain floats, in any layout; whoever reads it goes on to the same bits.
TEST(SmallOptimizerState, GoesThroughPlainFloatsUnchanged) {
  for (const OptimizerSpec& optimizer : kOptimizers) {
    const Graph graph = small_optimizer_state(training_graph(small_net("lenet", 3), optimizer));
    for (const std::string& backend : backend_names()) {
      ArenaRun run(graph, backend), resumed(graph, backend);
      run.set(draw_inputs(graph, 5));
      for (int step = 0; step < 3; ++step) run.run();
      resumed.set(draw_inputs(graph, 5));
      for (size_t t = 0; t < graph.tensors.size(); ++t) {
        const Role role = graph.tensors[t].role;
        const auto id = static_cast<TensorId>(t);
        if (is_persistent(role) && role != Role::data) resumed.set(id, run.get(id));
      }
      for (int step = 0; step < 2; ++step) {
        for (size_t t = 0; t < graph.tensors.size(); ++t) {
          if (!is_persistent(graph.tensors[t].role)) continue;
          const auto id = static_cast<BufferId>(t);
          EXPECT_EQ(resumed.bytes(id), run.bytes(id)) << graph.tensors[t].name;
        }
        run.run();
        resumed.run();
      }
    }
  }
}

// Gradients of parts are summed with all their digits, not in rounded state.
TEST(SmallOptimizerState, LeavesSumsToAnAccumulator) {
  const Graph graph = small_optimizer_state(training_graph(small_net("lenet", 2), kOptimizers[0]));
  const Graph parts = accumulate_gradients(graph, 3);
  for (const Node& node : parts.nodes) {
    if (!node.op.ends_with("_small")) continue;
    EXPECT_EQ(node.phase, Phase::finish);
    EXPECT_EQ(parts.tensor(node.inputs[1]).role, Role::accumulator);
  }
}

TEST(SmallOptimizerState, RefusesWhatKeepsNoState) {
  const Graph graph = training_graph(small_net("lenet", 2), {"sgd", {{"momentum", 0.0}}});
  EXPECT_EQ(small_optimizer_state(graph), graph);
}

TEST(SmallOptimizerState, IsChosenWhenAllowedAndNeeded) {
  PlanRequest request;
  request.forward = small_net("resnet18_cifar", 4);
  request.optimizer = {"adamw", {}};
  request.budget_bytes = 1;
  const Plan exact = make_plan(request, {});
  request.allow = {"small-optimizer-state"};
  const Plan plan = make_plan(request, {});
  EXPECT_LT(plan.arena_bytes, exact.arena_bytes);
  EXPECT_EQ(plan.promise, Promise::approximate);
  EXPECT_EQ(text_of(plan.numerics), "microbatch=1,small_optimizer_state=1");
}

}  // namespace
}  // namespace thimble
