#include "planner/planner.h"

#include <gtest/gtest.h>

#include <numeric>

#include "models/zoo.h"
#include "planner/candidates.h"
#include "support/allocations.h"
#include "support/expect_error.h"

namespace thimble {
namespace {

constexpr Machine kMachine = {1e11, 1e10, 1e-6};

PlanRequest request(const std::string& model, int64_t batch, const std::string& backend = "auto") {
  ModelOptions o;
  o.batch = batch;
  PlanRequest r;
  r.forward = build_model(model, o);
  r.optimizer = {"sgd", {{"momentum", 0.9}}};
  r.backend = backend;
  return r;
}

// What is resident settles after a few plans in one process; then plans can be compared.
Plan settled_plan(const PlanRequest& r) {
  Plan plan = make_plan(r, kMachine);
  for (int i = 0; i < 10; ++i) {
    Plan again = make_plan(r, kMachine);
    const bool same = again.process_bytes == plan.process_bytes;
    plan = std::move(again);
    if (same) break;
  }
  return plan;
}

TEST(MakePlan, ABudgetOfExactlyTheProcessBytesFits) {
  if (!can_count_allocations()) GTEST_SKIP() << "sanitizers keep what was freed: nothing settles";
  PlanRequest r = request("lenet", 4, "portable");
  const int64_t bytes = settled_plan(r).process_bytes;
  r.budget_bytes = bytes;
  const Plan exact = make_plan(r, kMachine);
  ASSERT_EQ(exact.process_bytes, bytes) << "what is resident did not settle";
  EXPECT_TRUE(exact.fits);
  r.budget_bytes = bytes - 1;
  const Plan less = make_plan(r, kMachine);
  ASSERT_EQ(less.process_bytes, bytes) << "what is resident did not settle";
  EXPECT_FALSE(less.fits);
  EXPECT_EQ(less.budget_bytes, bytes - 1);
  EXPECT_LE(less.arena_bytes, exact.arena_bytes);
}

TEST(MakePlan, TheSmallestBudgetFitsWhenItIsTried) {
  if (!can_count_allocations()) GTEST_SKIP() << "sanitizers take memory of their own";
  for (const std::string& backend : backend_names()) {
    PlanRequest r = request("mobilenet_v1_patch", 4, backend);
    r.budget_bytes = 1;
    const Plan refused = settled_plan(r);
    EXPECT_FALSE(refused.fits);
    EXPECT_GE(refused.smallest_budget_bytes, refused.process_bytes);
    EXPECT_LE(refused.smallest_budget_bytes, refused.process_bytes + (1 << 20));
    r.budget_bytes = refused.smallest_budget_bytes;
    EXPECT_TRUE(make_plan(r, kMachine).fits);
  }
}

TEST(MakePlan, WithoutABudgetEverythingFits) {
  const Plan plan = make_plan(request("lenet", 4), kMachine);
  EXPECT_TRUE(plan.fits);
  EXPECT_EQ(plan.budget_bytes, 0);
}

TEST(MakePlan, MoreBudgetNeverGivesASlowerPlan) {
  if (!can_count_allocations()) GTEST_SKIP() << "sanitizers take memory of their own";
  PlanRequest r = request("resnet18_cifar", 4, "portable");
  const Plan none = make_plan(r, kMachine);
  EXPECT_LT(none.smallest_budget_bytes, none.process_bytes);
  double before = 1e9;
  constexpr int kBudgets = 12;
  for (int i = 0; i <= kBudgets; ++i) {
    const int64_t range = none.process_bytes + (1 << 20) - none.smallest_budget_bytes;
    r.budget_bytes = none.smallest_budget_bytes + (1 << 20) + range * i / kBudgets;
    const Plan plan = make_plan(r, kMachine);
    EXPECT_TRUE(plan.fits) << i;
    EXPECT_LE(plan.process_bytes, r.budget_bytes);
    EXPECT_LE(plan.predicted_step_seconds, before) << i;
    before = plan.predicted_step_seconds;
  }
  EXPECT_EQ(before, none.predicted_step_seconds);
}

TEST(MakePlan, WhatDoesNotFitIsAsSmallAsItGets) {
  PlanRequest r = request("resnet18_cifar", 4, "portable");
  const Plan none = make_plan(r, kMachine);
  r.budget_bytes = 1;
  const Plan refused = make_plan(r, kMachine);
  EXPECT_FALSE(refused.fits);
  EXPECT_LT(refused.arena_bytes, none.arena_bytes);
  EXPECT_GE(refused.predicted_step_seconds, none.predicted_step_seconds);
}

TEST(MakePlan, CategoriesAddUpToTheLiveBytesAtThePeak) {
  for (const Model* model : zoo()) {
    for (int64_t batch : {1, 8}) {
      const PlanRequest r = request(model->name, batch, "portable");
      // Of any plan: without the local search they are found soon.
      const Plan plan = make_plan(r, kMachine, find_candidates(r, kMachine, false));
      EXPECT_EQ(std::accumulate(plan.by_category.begin(), plan.by_category.end(), int64_t{0}),
                plan.train.memory.lower_bound_bytes)
          << model->name << " batch " << batch;
      EXPECT_EQ(plan.process_bytes, plan.fixed_bytes + plan.arena_bytes);
      EXPECT_GE(plan.arena_bytes, plan.lower_bound_bytes);
      EXPECT_GE(plan.lower_bound_bytes, plan.train.memory.lower_bound_bytes);
      ASSERT_FALSE(plan.peak_tensors.empty());
      for (const Block& b : plan.peak_tensors) EXPECT_LE(b.bytes, plan.peak_tensors[0].bytes);
    }
  }
}

TEST(MakePlan, WeightsOfMomentumSgdTakeTheirBytesTwice) {
  const Plan plan = make_plan(request("lenet", 1, "portable"), kMachine);
  const auto category = [&](Category c) { return plan.by_category[static_cast<size_t>(c)]; };
  EXPECT_EQ(category(Category::weights), category(Category::optimizer));
  // 61706 parameters in ten tensors, each rounded up to 64 bytes.
  EXPECT_GE(category(Category::weights), 61706 * 4);
  EXPECT_LT(category(Category::weights), 61706 * 4 + 10 * 64);
}

TEST(MakePlan, EvaluationSharesThePlacesOfTheWeights) {
  for (const std::string& backend : backend_names()) {
    const Plan plan = make_plan(request("mobilenet_v2", 2, backend), kMachine);
    int shared = 0;
    const Schedule& evaluate = plan.evaluate.schedule;
    for (size_t b = 0; b < evaluate.buffers.size(); ++b) {
      if (!evaluate.buffers[b].persistent) continue;
      const BufferId t = plan.train.schedule.find(evaluate.buffers[b].name);
      ASSERT_NE(t, kNoBuffer) << evaluate.buffers[b].name;
      const auto offset = [](const Program& p, size_t id) {
        return p.memory.blocks[static_cast<size_t>(p.memory.block_of_buffer[id])].offset;
      };
      EXPECT_EQ(offset(plan.evaluate, b), offset(plan.train, static_cast<size_t>(t)));
      EXPECT_EQ(evaluate.buffers[b].layout, plan.train.schedule.buffer(t).layout);
      ++shared;
    }
    EXPECT_GT(shared, 200);
    EXPECT_EQ(plan.evaluate.memory.persistent_bytes, plan.train.memory.persistent_bytes);
    EXPECT_LE(plan.evaluate.memory.arena_bytes, plan.arena_bytes);
    EXPECT_LE(plan.train.memory.arena_bytes, plan.arena_bytes);
  }
}

TEST(MakePlan, ReservationsAreBooked) {
  PlanRequest r = request("lenet", 1, "portable");
  const int64_t without = make_plan(r, kMachine).arena_bytes;
  r.reservations = [](int64_t batch) -> std::vector<Reservation> {
    return {{"loader", 1000, Category::data}, {"next", 64 * batch, Category::data}};
  };
  EXPECT_EQ(make_plan(r, kMachine).arena_bytes, without + 1024 + 64);
}

TEST(MakePlan, EvaluationAloneHasNoOptimizerAndNoGradients) {
  PlanRequest r = request("lenet", 8, "portable");
  const Plan both = make_plan(r, kMachine);
  r.training = false;
  const Plan plan = make_plan(r, kMachine);
  EXPECT_TRUE(plan.train.schedule.steps.empty());
  EXPECT_LT(plan.arena_bytes, both.arena_bytes / 2);
  EXPECT_EQ(plan.by_category[static_cast<size_t>(Category::optimizer)], 0);
  EXPECT_EQ(plan.by_category[static_cast<size_t>(Category::gradients)], 0);
  EXPECT_EQ(plan.by_category[static_cast<size_t>(Category::saved)], 0);
}

TEST(MakePlan, WithoutALossThereIsNothingToTrain) {
  PlanRequest r = request("lenet", 1, "portable");
  r.forward.tensor(r.forward.find("loss")).name = "something";
  expect_internal_error([&] { make_plan(r, kMachine); }, "has no loss");
}

// The early update needs no resident gradient of the whole model.
TEST(MakePlan, TheChosenOrderHoldsFewGradientsAtATime) {
  const Plan plan = make_plan(request("resnet18_cifar", 1, "portable"), kMachine);
  const int64_t gradients = plan.by_category[static_cast<size_t>(Category::gradients)];
  const int64_t weights = plan.by_category[static_cast<size_t>(Category::weights)];
  EXPECT_LT(gradients, weights / 3);
  EXPECT_EQ(plan.promise, Promise::bit_exact);
}

}  // namespace
}  // namespace thimble
