#include "transforms/recompute.h"

#include <gtest/gtest.h>

#include "autodiff/differentiate.h"
#include "base/random.h"
#include "models/zoo.h"
#include "support/check_net.h"
#include "support/sanitizers.h"

namespace thimble {
namespace {

Graph training_graph(const std::string& model, const std::string& norm = "batch") {
  ModelOptions o;
  o.batch = 2;
  o.width = 0.25;
  o.height = model == "lenet" ? 28 : 32;
  o.norm = norm;
  const Graph forward = build_model(model, o);
  return add_optimizer(differentiate(forward, forward.find("loss")), {"sgd", {}});
}

// Any valid plan: the chain [first, last) is kept, or split somewhere and its first part run again.
void draw_actions(const RandomStream& random, uint64_t& draws, int32_t first, int32_t last,
                  RecomputePlan& plan) {
  if (first == last) return;
  if (last - first > 1 && random.below(draws++, 3) == 0) {
    const auto split = static_cast<int32_t>(first + 1 + random.below(draws++, last - first - 1));
    for (int32_t s = first; s < split; ++s) plan.actions.push_back({false, s});
    draw_actions(random, draws, split, last, plan);
    draw_actions(random, draws, first, split, plan);
    return;
  }
  plan.lean[static_cast<size_t>(first)] = random.below(draws++, 2) == 0;
  plan.actions.push_back({false, first});
  draw_actions(random, draws, first + 1, last, plan);
  plan.actions.push_back({true, first});
}

RecomputePlan drawn_plan(const Graph& graph, uint64_t seed) {
  RecomputePlan plan;
  plan.stage_begins = cut_into_stages(graph);
  plan.lean.resize(plan.stage_begins.size() - 1);
  const RandomStream random(seed, 7);
  uint64_t draws = 0;
  draw_actions(random, draws, 0, static_cast<int32_t>(plan.lean.size()), plan);
  return plan;
}

// Everything that lives from step to step, after three steps.
std::vector<std::vector<std::byte>> trained(const Graph& graph, const std::string& backend) {
  ArenaRun run(graph, backend);
  run.set(draw_inputs(graph, 5));
  for (int step = 0; step < 3; ++step) run.run();
  std::vector<std::vector<std::byte>> state;
  for (size_t t = 0; t < graph.tensors.size(); ++t) {
    const bool kept = is_persistent(graph.tensors[t].role) && graph.tensors[t].role != Role::data;
    if (kept) state.push_back(run.bytes(static_cast<BufferId>(t)));
  }
  return state;
}

void expect_same_bits(const Graph& plain, const Graph& rewritten) {
  for (const std::string& backend : backend_names()) {
    const auto expected = trained(plain, backend);
    const auto got = trained(rewritten, backend);
    // Tensors of the plain graph keep their numbers.
    ASSERT_EQ(expected.size(), got.size());
    int64_t different = 0;
    for (size_t i = 0; i < expected.size(); ++i) different += expected[i] != got[i];
    EXPECT_EQ(different, 0) << "of " << expected.size() << " tensors on " << backend;
  }
}

TEST(Recompute, GivesTheSameBitsWhateverIsMadeAgain) {
  for (const Model* model : zoo()) {
    for (uint64_t seed = 0; seed < (kSanitized ? 1 : 3); ++seed) {
      SCOPED_TRACE(str_cat(model->name, " seed ", seed));
      const Graph plain = training_graph(model->name, seed == 2 ? "group" : "batch");
      const Graph rewritten = recompute(plain, drawn_plan(plain, seed));
      EXPECT_GT(rewritten.nodes.size(), plain.nodes.size());
      expect_same_bits(plain, rewritten);
    }
  }
}

TEST(Recompute, OfNothingIsTheSameGraph) {
  const Graph plain = training_graph("mobilenet_v2");
  RecomputePlan plan;
  plan.stage_begins = cut_into_stages(plain);
  plan.lean.resize(plan.stage_begins.size() - 1);
  const auto stages = static_cast<int32_t>(plan.lean.size());
  for (int32_t s = 0; s < stages; ++s) plan.actions.push_back({false, s});
  for (int32_t s = stages; s-- > 0;) plan.actions.push_back({true, s});
  Graph same = recompute(plain, plan);
  ASSERT_EQ(same.nodes.size(), plain.nodes.size());
  for (size_t n = 0; n < plain.nodes.size(); ++n) {
    EXPECT_EQ(same.nodes[n].op, plain.nodes[n].op);
    EXPECT_EQ(same.nodes[n].inputs, plain.nodes[n].inputs);
  }
}

TEST(DroppableTensors, NeverDependOnEachOther) {
  for (const Model* model : models()) {
    const Graph graph = training_graph(model->name);
    const std::vector<bool> droppable = droppable_tensors(graph);
    int64_t count = 0;
    for (int32_t n : forward_nodes(graph)) {
      const Node& node = graph.nodes[static_cast<size_t>(n)];
      if (!droppable[static_cast<size_t>(node.outputs[0])]) continue;
      ++count;
      for (TensorId t : node.inputs) {
        EXPECT_FALSE(t != kNoTensor && droppable[static_cast<size_t>(t)]) << node.name;
      }
    }
    EXPECT_GT(count, 0) << model->name;
  }
}

}  // namespace
}  // namespace thimble
