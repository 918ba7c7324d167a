#include "models/zoo.h"

#include <gtest/gtest.h>

#include "autodiff/differentiate.h"
#include "backends/backend.h"
#include "memory/check.h"
#include "memory/plan.h"
#include "schedule/order.h"

namespace thimble {
namespace {

Graph training_graph(const std::string& name, int64_t batch) {
  ModelOptions o;
  o.batch = batch;
  const Graph forward = build_model(name, o);
  return add_optimizer(differentiate(forward, forward.find("loss")), {"sgd", {{"momentum", 0.9}}});
}

// Arena over lower bound, of the best order, as the planner takes it.
double best_ratio(const Graph& training, const std::string& backend) {
  std::vector<NamedLayout> layouts;
  const Schedule schedule = make_schedule(training, *make_backend(backend), layouts);
  MemoryPlan best;
  for (Order order : all_orders()) {
    const Schedule ordered = reordered(schedule, order);
    const MemoryPlan plan = plan_memory(ordered, place_persistent({&ordered}, {}));
    EXPECT_EQ(find_faults(ordered, plan), std::vector<std::string>{}) << name_of(order);
    if (best.arena_bytes == 0 || plan.arena_bytes < best.arena_bytes) best = plan;
  }
  return static_cast<double>(best.arena_bytes) / static_cast<double>(best.lower_bound_bytes);
}

TEST(ZooPlans, ArenaIsWithinTwoPercentOfTheLowerBound) {
  const std::vector<int64_t> batches =
      kSanitized ? std::vector<int64_t>{8} : std::vector<int64_t>{1, 8, 32};
  for (const Model* model : zoo()) {
    for (int64_t batch : batches) {
      const Graph training = training_graph(model->name, batch);
      for (const std::string& backend : backend_names()) {
        EXPECT_LE(best_ratio(training, backend), 1.02)
            << model->name << " batch " << batch << " " << backend;
      }
    }
  }
}

}  // namespace
}  // namespace thimble
