#include "transforms/recompute.h"

#include <gtest/gtest.h>

#include "models/zoo.h"
#include "support/sanitizers.h"
#include "transforms/fixtures.h"

namespace thimble {
namespace {

using transforms_test::drawn_plan;
using transforms_test::small_net;
using transforms_test::trained_state;
using transforms_test::training_graph;

// Of any plans, drawn from so many seeds.
void expect_same_bits(const Graph& plain, const std::vector<uint64_t>& seeds) {
  for (const std::string& backend : backend_names()) {
    const auto expected = trained_state(plain, plain, backend);
    for (uint64_t seed : seeds) {
      const Graph rewritten = recompute(plain, drawn_plan(plain, seed));
      EXPECT_GT(rewritten.nodes.size(), plain.nodes.size());
      const auto got = trained_state(rewritten, plain, backend);
      ASSERT_EQ(expected.size(), got.size());
      int64_t different = 0;
      for (size_t i = 0; i < expected.size(); ++i) different += expected[i] != got[i];
      EXPECT_EQ(different, 0) << "of " << expected.size() << " tensors on " << backend << ", seed "
                              << seed;
    }
  }
}

TEST(Recompute, GivesTheSameBitsWhateverIsMadeAgain) {
  for (const Model* model : zoo()) {
    SCOPED_TRACE(model->name);
    const auto expect = [&](const char* norm, const std::vector<uint64_t>& seeds) {
      expect_same_bits(training_graph(small_net(model->name, 2, norm)), seeds);
    };
    if (kSanitized) {
      expect("batch", {0});
    } else {
      expect("batch", {0, 1});
      expect("group", {2});
    }
  }
}

TEST(Recompute, OfNothingIsTheSameGraph) {
  const Graph plain = training_graph(small_net("mobilenet_v2", 2));
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
    const Graph graph = training_graph(small_net(model->name, 2));
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
