#include "planner/local_search.h"

#include <gtest/gtest.h>

#include "backends/kernel_cache.h"
#include "models/zoo.h"
#include "planner/chain.h"
#include "schedule/order.h"
#include "transforms/fixtures.h"

namespace thimble {
namespace {

using transforms_test::drawn_plan;
using transforms_test::small_net;
using transforms_test::trained_state;
using transforms_test::training_graph;

constexpr Machine kMachine = {1e11, 1e10, 2e-6};

RunModel model_of(const Graph& training) {
  KernelCache backend(make_backend("portable"));
  std::vector<NamedLayout> layouts;
  return RunModel(training, backend, layouts, {}, kMachine);
}

RunModel::Cost cost_of_schedule(const Graph& graph) {
  KernelCache backend(make_backend("portable"));
  std::vector<NamedLayout> layouts;
  const Schedule s = reordered(make_schedule(graph, backend, layouts), Order::smaller_first);
  return {live_bytes(s, place_persistent({&s}, {})), predict_seconds(s, kMachine)};
}

TEST(RunModel, TakesTheBytesAndSecondsOfTheRealSchedule) {
  for (const Model* model : zoo()) {
    for (const char* norm : {"batch", "group"}) {
      const Graph training = training_graph(small_net(model->name, 2, norm));
      RunModel runs_model = model_of(training);
      ASSERT_TRUE(runs_model.is_exact());
      for (uint64_t seed = 0; seed < (kSanitized ? 1 : 4); ++seed) {
        SCOPED_TRACE(str_cat(model->name, ' ', norm, " seed ", seed));
        Runs runs = runs_of(training, drawn_plan(training, seed));
        // Whatever moves lead to: the best, the next, the last.
        for (int moved = 0; moved < 6; ++moved) {
          const RunModel::Cost cost = runs_model.cost(runs);
          const RunModel::Cost real = cost_of_schedule(recompute(training, runs));
          ASSERT_EQ(cost.arena_bytes, real.arena_bytes) << moved << " moves";
          ASSERT_NEAR(cost.seconds, real.seconds, 1e-9) << moved << " moves";
          const auto moves = runs_model.moves(runs);
          if (moves.empty()) break;
          runs = RunModel::moved(runs,
                                 moves[(7 * seed + static_cast<uint64_t>(moved)) % moves.size()]);
        }
      }
    }
  }
}

TEST(LocalSearch, ItsPlansTrainToTheSameBits) {
  for (const char* model : {"lenet", "mobilenet_v1_patch", "resnet18_cifar"}) {
    const Graph training = training_graph(small_net(model, 2));
    RunModel runs_model = model_of(training);
    LocalSearch search(training, runs_model, 2000);
    search.offer(drawn_plan(training, 1));
    search.run();
    ASSERT_GT(search.found().size(), 3u);
    std::vector<RecomputePlan> plans;  // of its own; the smallest, and one in the middle
    for (const auto& [bytes, found] : search.found()) {
      if (!found.plan.runs.empty()) plans.push_back(found.plan);
    }
    ASSERT_GE(plans.size(), 2u);
    for (const RecomputePlan& plan : {plans.front(), plans[plans.size() / 2]}) {
      const Graph again = recompute(training, plan);
      for (const std::string& backend : backend_names()) {
        EXPECT_EQ(trained_state(again, training, backend),
                  trained_state(training, training, backend))
            << model << " on " << backend;
      }
    }
  }
}

TEST(LocalSearch, LooksAtNoMorePlansThanAllowed) {
  const Graph training = training_graph(small_net("mobilenet_v1", 2));
  RunModel runs_model = model_of(training);
  LocalSearch search(training, runs_model, 100);
  search.run();
  EXPECT_LE(search.looks(), 100 + 12);  // a peak is looked at as a whole
}

}  // namespace
}  // namespace thimble
