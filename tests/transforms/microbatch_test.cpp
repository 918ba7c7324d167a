#include "transforms/microbatch.h"

#include <gtest/gtest.h>

#include <cmath>

#include "models/trained.h"
#include "support/allocations.h"
#include "support/distance.h"
#include "support/sanitizers.h"
#include "transforms/fixtures.h"

namespace thimble {
namespace {

constexpr int64_t kBatch = 6;

using transforms_test::drawn_plan;
using transforms_test::training_graph;

Graph forward_of(const std::string& model, const std::string& norm) {
  return transforms_test::small_net(model, kBatch, norm);
}

// Examples [first, first + count) of every data tensor that has one row for each.
Values rows(const Graph& whole, const Values& values, const Graph& part, int64_t first) {
  Values result(part.tensors.size());
  for (size_t t = 0; t < part.tensors.size(); ++t) {
    const Tensor& tensor = part.tensors[t];
    const TensorId from = whole.find(tensor.name);
    if (from == kNoTensor || values[static_cast<size_t>(from)].empty()) continue;
    const std::vector<double>& all = values[static_cast<size_t>(from)];
    const int64_t elements = tensor.shape.elements();
    const bool split = std::ssize(all) != elements;
    const auto begin = all.begin() + (split ? first * (elements / tensor.shape[0]) : 0);
    result[t].assign(begin, begin + elements);
  }
  return result;
}

struct State {
  std::vector<double> all;
  double loss = 0;
};

void read_state(const Graph& graph, ArenaRun& run, State& state) {
  for (size_t t = 0; t < graph.tensors.size(); ++t) {
    const Role role = graph.tensors[t].role;
    if (role != Role::weight && role != Role::optimizer) continue;
    const auto values = run.get(static_cast<TensorId>(t));
    state.all.insert(state.all.end(), values.begin(), values.end());
  }
}

// After each step.
using States = std::vector<State>;

States trained_whole(const Graph& graph, const Values& inputs, const std::string& backend,
                     size_t steps) {
  ArenaRun run(graph, backend);
  run.set(inputs);
  States states(steps);
  for (State& state : states) {
    run.run();
    state.loss = run.get(graph.find("loss"))[0];
    read_state(graph, run, state);
  }
  return states;
}

States trained_in_parts(const Graph& whole, const Values& inputs, const Graph& graph,
                        const std::string& backend, size_t steps) {
  ArenaRun run(graph, backend);
  run.set(rows(whole, inputs, graph, 0));
  States states(steps);
  const TensorId images = graph.find("images");
  const TensorId labels = graph.find("labels");
  const TensorId counter = graph.find("counter");
  for (State& state : states) {
    run.executor().run_part(Executor::Part::prepare);
    for (int64_t k = 0; k < graph.microbatches; ++k) {
      const Values part = rows(whole, inputs, graph, k * (kBatch / graph.microbatches));
      run.set(images, part[static_cast<size_t>(images)]);
      run.set(labels, part[static_cast<size_t>(labels)]);
      if (counter != kNoTensor) {
        std::vector<double> at = inputs[static_cast<size_t>(whole.find("counter"))];
        at[2] = static_cast<double>(k * (kBatch / graph.microbatches));
        run.set(counter, at);
      }
      run.executor().run_part(Executor::Part::body);
      state.loss += run.get(graph.find("loss"))[0] / static_cast<double>(graph.microbatches);
    }
    run.executor().run_part(Executor::Part::finish);
    read_state(graph, run, state);
  }
  return states;
}

const OptimizerSpec kOptimizers[] = {
    {"sgd", {{"momentum", 0.9}, {"weight_decay", 0.01}}},
    {"sgd", {{"momentum", 0.0}}},
    {"sgd", {{"momentum", 0.9}, {"nesterov", int64_t{1}}}},
    {"adamw", {{"weight_decay", 0.01}}},
};

TEST(Microbatch, MeansTheSameAsTheWholeBatch) {
  std::vector<std::string> names = {"lenet"};
  if (!kSanitized) names.insert(names.end(), {"mobilenet_v1_patch", "resnet18_cifar"});
  for (const std::string& model : names) {
    const Graph forward = forward_of(model, "group");
    for (const OptimizerSpec& optimizer : kOptimizers) {
      const Graph whole = training_graph(forward, optimizer);
      const Values inputs = draw_inputs(whole, 3, 8);  // no label without a class
      for (const std::string& backend : backend_names()) {
        const States expected = trained_whole(whole, inputs, backend, 2);
        for (int64_t count : {2, 6}) {
          SCOPED_TRACE(str_cat(model, ' ', optimizer.op, ", ", count, " parts on ", backend));
          const Graph part = accumulate_gradients(
              training_graph(with_batch(forward, kBatch / count), optimizer), count);
          const States got = trained_in_parts(whole, inputs, part, backend, 2);
          // The second step shows that sums begin anew; rounding has then flipped a few ReLUs.
          for (size_t step : {0, 1}) {
            const double tolerance = step == 0 ? 1e-4 : 5e-3;
            EXPECT_NEAR(got[step].loss, expected[step].loss, tolerance);
            ASSERT_EQ(got[step].all.size(), expected[step].all.size());
            EXPECT_LT(relative_distance(got[step].all, expected[step].all), tolerance);
          }
        }
      }
    }
  }
}

TEST(Microbatch, OfPartsOfWeightsMeansTheSameAsTheWholeBatch) {
  const Graph forward = with_trained(forward_of("mobilenet_v1_patch", "group"), "all[2/5]");
  for (const OptimizerSpec& optimizer : kOptimizers) {
    const Graph whole = training_graph(forward, optimizer);
    const Values inputs = draw_inputs(whole, 3, 8);  // no label without a class
    const Graph part =
        accumulate_gradients(training_graph(with_batch(forward, kBatch / 2), optimizer), 2);
    for (const std::string& backend : backend_names()) {
      const States expected = trained_whole(whole, inputs, backend, 2);
      const States got = trained_in_parts(whole, inputs, part, backend, 2);
      for (size_t step : {0, 1}) {
        ASSERT_EQ(got[step].all.size(), expected[step].all.size());
        EXPECT_LT(relative_distance(got[step].all, expected[step].all), step == 0 ? 1e-4 : 5e-3)
            << optimizer.op << " on " << backend << ", step " << step;
      }
    }
  }
}

// Draws, with the momentum at zero: after a step without weight decay it is the gradient.
Values first_step_inputs(const Graph& graph) {
  Values inputs = draw_inputs(graph, 3, 8);  // no label without a class
  for (size_t t = 0; t < graph.tensors.size(); ++t) {
    if (graph.tensors[t].role == Role::optimizer) std::ranges::fill(inputs[t], 0);
  }
  const TensorId counter = graph.find("counter");
  if (counter != kNoTensor) inputs[static_cast<size_t>(counter)][2] = 0;  // the whole batch
  return inputs;
}

std::vector<double> momentum_of(const Graph& graph, State state) {
  std::vector<double> momentum;
  size_t at = 0;
  for (const Tensor& t : graph.tensors) {
    if (t.role != Role::weight && t.role != Role::optimizer) continue;
    const auto begin = state.all.begin() + static_cast<std::ptrdiff_t>(at);
    at += static_cast<size_t>(t.shape.elements());
    if (t.role == Role::optimizer)
      momentum.insert(momentum.end(), begin, begin + t.shape.elements());
  }
  return momentum;
}

const OptimizerSpec kMomentum = {"sgd", {{"momentum", 0.9}}};

// The gradients themselves, with parts of the forward pass run again or not.
void expect_gradients_of_the_whole_batch(const Graph& forward, int64_t count, uint64_t seed) {
  const Graph whole = training_graph(forward, kMomentum);
  const Values inputs = first_step_inputs(whole);
  const Graph part =
      accumulate_gradients(training_graph(with_batch(forward, kBatch / count), kMomentum), count);
  const Graph again = recompute(part, drawn_plan(part, seed));
  EXPECT_GT(again.nodes.size(), part.nodes.size());
  for (const std::string& backend : backend_names()) {
    const State expected = trained_whole(whole, inputs, backend, 1)[0];
    const State kept = trained_in_parts(whole, inputs, part, backend, 1)[0];
    const State rerun = trained_in_parts(whole, inputs, again, backend, 1)[0];
    const double distance =
        relative_distance(momentum_of(part, kept), momentum_of(whole, expected));
    EXPECT_LT(distance, 1e-4) << count << " parts on " << backend;
    EXPECT_NEAR(kept.loss, expected.loss, 1e-5);
    EXPECT_EQ(rerun.all, kept.all) << "recomputed, " << count << " parts on " << backend;
  }
}

TEST(Microbatch, GradientsAreThoseOfTheWholeBatchAlsoWhenRecomputed) {
  std::vector<std::string> names = {"mobilenet_v1_patch"};
  if (!kSanitized) names.insert(names.end(), {"resnet50", "resnet18_cifar"});
  for (const std::string& model : names) {
    for (const char* norm : {"group", "frozen"}) {
      SCOPED_TRACE(str_cat(model, ", norm ", norm));
      expect_gradients_of_the_whole_batch(forward_of(model, norm), 3, 1);
    }
  }
}

// Dropout draws for an example what it draws for it in the whole batch: counter[2] says where a
// part begins.
TEST(Microbatch, DropoutDrawsAsInTheWholeBatch) {
  ModelOptions o;
  o.batch = kBatch;
  o.width = 0.25;
  o.height = 32;
  o.norm = "group";
  o.variants = {{"dropout", "0.5"}};
  const Graph forward = build_model("mobilenet_v2", o);
  ASSERT_NE(forward.find("counter"), kNoTensor);
  for (int64_t count : {2, 6}) expect_gradients_of_the_whole_batch(forward, count, 2);
}

TEST(Microbatch, ARecomputedStepAllocatesNothing) {
  if (!can_count_allocations()) GTEST_SKIP() << "the sanitizer owns the heap";
  const Graph forward = with_batch(forward_of("resnet18_cifar", "group"), 2);
  const Graph part = accumulate_gradients(training_graph(forward, kMomentum), 3);
  const Graph graph = recompute(part, drawn_plan(part, 1));
  for (const std::string& backend : backend_names()) {
    ArenaRun run(graph, backend);
    run.set(draw_inputs(graph, 3, 8));
    const auto step = [&] {
      run.executor().run_part(Executor::Part::prepare);
      for (int64_t k = 0; k < graph.microbatches; ++k)
        run.executor().run_part(Executor::Part::body);
      run.executor().run_part(Executor::Part::finish);
    };
    step();
    start_counting_allocations();
    step();
    const Allocations a = stop_counting_allocations();
    EXPECT_EQ(a.own, 0) << backend;
    EXPECT_EQ(a.onednn_live_bytes, 0) << backend;
  }
}

// Momentum takes the gradients in: nothing else of the size of the weights is kept.
TEST(Microbatch, AddsUpInTheMomentumWhereThatIsExact) {
  const Graph forward = with_batch(forward_of("lenet", "batch"), 2);
  const auto accumulators = [&](const OptimizerSpec& optimizer) {
    const Graph graph = accumulate_gradients(training_graph(forward, optimizer), 3);
    return std::count_if(graph.tensors.begin(), graph.tensors.end(),
                         [](const Tensor& t) { return t.role == Role::accumulator; });
  };
  EXPECT_EQ(accumulators(kOptimizers[0]), 0);
  for (size_t i = 1; i < std::size(kOptimizers); ++i) EXPECT_EQ(accumulators(kOptimizers[i]), 10);
}

TEST(WithBatch, IsTheModelBuiltForThatBatch) {
  for (const Model* model : models()) {
    ModelOptions o;
    o.batch = 4;
    const Graph four = build_model(model->name, o);
    o.batch = 1;
    o.norm = "frozen";
    const Graph one = build_model(model->name, o);
    o.batch = 4;
    EXPECT_EQ(with_batch(build_model(model->name, o), 1), one) << model->name;
    EXPECT_EQ(batch_of(with_batch(four, 2)), 2);
  }
}

TEST(ReadsBatchStatistics, OnlyBatchNormDoes) {
  EXPECT_TRUE(reads_batch_statistics(forward_of("resnet18_cifar", "batch")));
  EXPECT_FALSE(reads_batch_statistics(forward_of("resnet18_cifar", "frozen")));
  EXPECT_FALSE(reads_batch_statistics(forward_of("resnet18_cifar", "group")));
}

}  // namespace
}  // namespace thimble
