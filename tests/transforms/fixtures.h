#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "autodiff/differentiate.h"
#include "base/random.h"
#include "models/model.h"
#include "planner/planner.h"
#include "support/check_net.h"
#include "transforms/recompute.h"

namespace thimble::transforms_test {

// A narrow network of the zoo on small images.
inline Graph small_net(const std::string& model, int64_t batch, const std::string& norm = "batch",
                       const std::map<std::string, std::string>& variants = {}) {
  ModelOptions o;
  o.batch = batch;
  o.width = 0.25;
  o.height = model == "lenet" ? 28 : 32;
  o.norm = norm;
  o.variants = variants;
  return build_model(model, o);
}

inline Graph training_graph(const Graph& forward, const OptimizerSpec& optimizer = {"sgd", {}}) {
  return add_optimizer(differentiate(forward, forward.find("loss")), optimizer);
}

// Everything that `plain` keeps from step to step, after a few steps of `graph`, a rewritten form
// of it, from the same values. The second step reads what the first one left.
inline std::vector<std::vector<std::byte>> trained_state(const Graph& graph, const Graph& plain,
                                                         const std::string& backend, int steps = 2,
                                                         double learning_rate = 0) {
  ArenaRun run(graph, backend);
  Values inputs = draw_inputs(plain, 5);
  if (learning_rate > 0) inputs[static_cast<size_t>(plain.find("lr"))] = {learning_rate};
  for (size_t t = 0; t < plain.tensors.size(); ++t) {
    if (!inputs[t].empty()) run.set(graph.find(plain.tensors[t].name), inputs[t]);
  }
  for (int step = 0; step < steps; ++step) run.run();
  std::vector<std::vector<std::byte>> state;
  for (const Tensor& t : plain.tensors) {
    const bool kept = is_persistent(t.role) && t.role != Role::data;
    if (kept) state.push_back(run.bytes(graph.find(t.name)));
  }
  return state;
}

// Any valid plan: the chain [first, last) is kept, or split somewhere and its first part run again.
inline void draw_actions(const RandomStream& random, uint64_t& draws, int32_t first, int32_t last,
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

inline RecomputePlan drawn_plan(const Graph& graph, uint64_t seed) {
  RecomputePlan plan;
  plan.stage_begins = cut_into_stages(graph);
  plan.lean.resize(plan.stage_begins.size() - 1);
  const RandomStream random(seed, 7);
  uint64_t draws = 0;
  draw_actions(random, draws, 0, static_cast<int32_t>(plan.lean.size()), plan);
  return plan;
}

// The largest difference of any value from one step to the next, relative to its tensor's largest.
inline double largest_difference(const Graph& plain, const std::vector<double>& expected,
                                 const std::vector<double>& got, TensorId t) {
  EXPECT_EQ(expected.size(), got.size()) << plain.tensor(t).name;
  double largest = 1e-3, difference = 0;
  for (double x : expected) largest = std::max(largest, std::abs(x));
  for (size_t i = 0; i < std::min(expected.size(), got.size()); ++i) {
    const double d = std::abs(expected[i] - got[i]);
    if (!(d <= difference)) difference = d;  // NaN counts
  }
  return difference / largest;
}

// One step of both graphs from the same values: weights, momentum (the gradients), loss.
inline void expect_same_step(const Graph& rewritten, const Graph& plain, double tolerance) {
  const Values inputs = draw_inputs(plain, 5);
  const auto check = [&](const std::string& where, auto& a, auto& b) {
    for (size_t t = 0; t < plain.tensors.size(); ++t) {
      const Tensor& tensor = plain.tensors[t];
      if (!is_persistent(tensor.role) || tensor.role == Role::data) continue;
      const auto id = static_cast<TensorId>(t);
      EXPECT_LE(largest_difference(plain, a.get(id), b.get(rewritten.find(tensor.name)), id),
                where == "double" ? 1e-10 : tolerance)
          << tensor.name << ", " << where;
    }
  };
  const auto set = [&](auto& a, auto& b) {
    a.set(inputs);
    for (size_t t = 0; t < plain.tensors.size(); ++t) {
      if (!inputs[t].empty()) b.set(rewritten.find(plain.tensors[t].name), inputs[t]);
    }
    a.run();
    b.run();
  };
  Interpreter<double> a(plain), b(rewritten);
  set(a, b);
  check("double", a, b);
  for (const std::string& backend : backend_names()) {
    ArenaRun x(plain, backend), y(rewritten, backend);
    set(x, y);
    check(backend, x, y);
    EXPECT_TRUE(y.arena().guards_intact()) << backend;
    if (backend != "portable") continue;  // oneDNN books more scratch than it touches
    EXPECT_GT(y.arena().touched_bytes(), y.plan().arena_bytes - kAlignment);
  }
}

// In so many times the smallest arena that anything fits in: between that and keeping everything,
// techniques differ by their time.
inline Plan plan_near_the_smallest(PlanRequest request, const Machine& machine, double share) {
  request.budget_bytes = 1;
  const Plan smallest = make_plan(request, machine);
  request.budget_bytes = smallest.fixed_bytes +
                         static_cast<int64_t>(share * static_cast<double>(smallest.arena_bytes));
  return make_plan(request, machine);
}

}  // namespace thimble::transforms_test
