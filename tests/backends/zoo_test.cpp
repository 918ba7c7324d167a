#include <gtest/gtest.h>

#include <cmath>

#include "autodiff/differentiate.h"
#include "models/model.h"
#include "support/check_backends.h"
#include "support/check_net.h"
#include "support/sanitizers.h"

// One training step of every network of the zoo, small, on every backend.

namespace thimble {
namespace {

struct Model4 {
  std::string name;
  double width;
  int64_t side;
  std::string norm = "batch";
};

// The momentum is zero before the step: it is the gradient afterwards.
struct TrainingStep {
  Graph graph;
  Values before, after;  // in double
  std::vector<TensorId> gradients, statistics;
};

TrainingStep training_step(const Model4& m) {
  ModelOptions o;
  o.batch = 4;
  o.height = m.side;
  o.classes = 10;
  o.width = m.width;
  o.norm = m.norm;
  const Graph forward = build_model(m.name, o);
  TrainingStep step;
  step.graph = add_optimizer(differentiate(forward, forward.find("loss")),
                             {"sgd", {{"momentum", 0.9}, {"weight_decay", 0.0}}});
  step.before = draw_inputs(step.graph, 1);
  for (size_t t = 0; t < step.graph.tensors.size(); ++t) {
    const Tensor& tensor = step.graph.tensors[t];
    if (tensor.name == "lr") step.before[t] = {0.125};
    if (tensor.role == Role::statistic) step.statistics.push_back(static_cast<TensorId>(t));
    if (tensor.role != Role::optimizer) continue;
    step.before[t].assign(step.before[t].size(), 0.0);
    step.gradients.push_back(static_cast<TensorId>(t));
  }
  Interpreter<double> reference(step.graph);
  reference.set(step.before);
  reference.run();
  step.after = reference.get();
  return step;
}

double largest_of(const TrainingStep& step, BufferId b) {
  double largest = 0;
  if (b == kNoBuffer || static_cast<size_t>(b) >= step.after.size()) return largest;
  for (double v : step.after[static_cast<size_t>(b)]) largest = std::max(largest, std::abs(v));
  return largest;
}

// Each step alone, from exact inputs: rounding does not add up, and a ReLU near zero does not turn.
void check_each_step(const TrainingStep& step, const std::string& backend, int threads) {
  const ThreadCount scope(threads);
  ArenaRun run(step.graph, backend);
  run.set(step.before);
  const Values got = run.run_steps(step.after);
  for (const Step& s : run.schedule().steps) {
    // Sums that cancel to zero are as exact as their neighbours.
    double largest = 0;
    for (BufferId b : s.outputs) largest = std::max(largest, largest_of(step, b));
    for (BufferId b : s.outputs) {
      if (b == kNoBuffer || static_cast<size_t>(b) >= got.size()) continue;
      const auto t = static_cast<size_t>(b);
      const bool exact = step.graph.tensors[t].type != ElementType::f32;
      if (exact && got[t].empty()) continue;
      const double looser = largest / std::max(largest_of(step, b), 1e-2);
      expect_near(got[t], step.after[t], exact ? 0 : 2e-5 * std::max(looser, 1.0),
                  s.op + ' ' + step.graph.tensors[t].name);
    }
  }
}

double distance(const Values& got, const Values& expected, const std::vector<TensorId>& tensors) {
  double squares = 0;
  double scale = 0;
  for (TensorId id : tensors) {
    const auto t = static_cast<size_t>(id);
    for (size_t i = 0; i < expected[t].size(); ++i) {
      squares += (got[t][i] - expected[t][i]) * (got[t][i] - expected[t][i]);
      scale += expected[t][i] * expected[t][i];
    }
  }
  return std::sqrt(squares / scale);
}

// The whole step. A ReLU whose input rounds across zero moves the gradients of such a small net by
// up to a percent or two, so only the forward results are compared closely.
void check_whole(const TrainingStep& step, const std::string& backend, int threads) {
  const ThreadCount scope(threads);
  ArenaRun run(step.graph, backend);
  run.set(step.before);
  run.run();
  Values got(step.graph.tensors.size());
  const auto compare = [&](const std::vector<TensorId>& tensors, double most) {
    for (TensorId t : tensors) got[static_cast<size_t>(t)] = run.get(t);
    EXPECT_LE(distance(got, step.after, tensors), most)
        << tensors.size() << " tensors like " << step.graph.tensor(tensors.front()).name;
  };
  compare({step.graph.find("loss")}, 1e-3);
  if (!step.statistics.empty()) compare(step.statistics, 1e-3);
  compare(step.gradients, 0.05);
}

void check_model(const Model4& m) {
  const TrainingStep step = training_step(m);
  for (const std::string& backend : backend_names()) {
    SCOPED_TRACE(str_cat(m.name, " with norm ", m.norm, " by ", backend));
    check_each_step(step, backend, 2);
    check_whole(step, backend, 2);
  }
}

TEST(BackendZoo, LenetAgrees) { check_model({"lenet", 1, 28}); }
TEST(BackendZoo, Resnet18CifarAgrees) {
  for (const char* norm : {"batch", "frozen", "group"}) {
    if (kSanitized && norm != std::string("batch")) continue;
    check_model({"resnet18_cifar", 0.25, 16, norm});
  }
}
TEST(BackendZoo, MobilenetV1PatchAgrees) {
  check_model({"mobilenet_v1_patch", kSanitized ? 0.25 : 0.5, 32});
}

// Layers of the same kinds as above, many of them.
class BackendZooDeep : public testing::Test {
 protected:
  void SetUp() override {
    if (kSanitized) GTEST_SKIP() << "minutes under sanitizers";
  }
};
TEST_F(BackendZooDeep, Resnet50Agrees) { check_model({"resnet50", 0.125, 32}); }
TEST_F(BackendZooDeep, MobilenetV1Agrees) { check_model({"mobilenet_v1", 0.25, 32}); }
TEST_F(BackendZooDeep, MobilenetV2Agrees) { check_model({"mobilenet_v2", 0.25, 32}); }

}  // namespace
}  // namespace thimble
