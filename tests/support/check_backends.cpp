#include "support/check_backends.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "support/arena_run.h"

namespace thimble {
namespace {

// Below this, a tensor counts as zero: its relative error would be noise.
constexpr double kSmallestScale = 1e-2;

Values run_portable(const Graph& graph, const Values& values, int threads) {
  const ThreadCount scope(threads);
  Interpreter<float> interpreter(graph);
  interpreter.set(values);
  interpreter.run();
  return interpreter.get();
}

Values run_in_arena(const Graph& graph, const Values& values, const std::string& backend,
                    int threads, DataFrom from) {
  const ThreadCount scope(threads);
  ArenaRun stepwise(graph, backend, from);
  stepwise.set(values);
  Values all = stepwise.run_steps();
  ArenaRun at_once(graph, backend, from);
  at_once.set(values);
  at_once.run();
  for (size_t t = 0; t < graph.tensors.size(); ++t) {
    const Buffer& b = at_once.schedule().buffers[t];
    if (!b.persistent) continue;
    const auto id = static_cast<BufferId>(t);
    EXPECT_EQ(at_once.bytes(id), stepwise.bytes(id))
        << b.name << " depends on what was in memory before";
  }
  return all;
}

std::string describe(const Graph& graph, const Node& node, size_t output) {
  return str_cat(node.op, " output ", output, " (", graph.tensor(node.outputs[output]).name, ")");
}

}  // namespace

std::vector<Runner> runners() {
  std::vector<Runner> all = {
      {"portable kernels", [](const Graph& g, const Values& v) { return run_portable(g, v, 1); }},
      {"portable kernels on 3 threads",
       [](const Graph& g, const Values& v) { return run_portable(g, v, 3); }}};
  for (const std::string& backend : backend_names()) {
    for (int threads : {1, 3}) {
      for (DataFrom from : {DataFrom::outside, DataFrom::step}) {
        all.push_back({str_cat(backend, " on ", threads, " threads",
                               from == DataFrom::step ? ", data made by a step" : ""),
                       [=](const Graph& g, const Values& v) {
                         return run_in_arena(g, v, backend, threads, from);
                       }});
      }
    }
  }
  return all;
}

void check_backends(const Graph& graph, const Values& values, double tolerance) {
  Interpreter<double> reference(graph);
  reference.set(values);
  reference.run();
  const Values expected = reference.get();
  for (const Runner& runner : runners()) {
    SCOPED_TRACE(runner.name);
    const Values got = runner.run(graph, values);
    for (const Node& node : graph.nodes) {
      for (size_t i = 0; i < node.outputs.size(); ++i) {
        if (node.outputs[i] == kNoTensor) continue;
        const auto t = static_cast<size_t>(node.outputs[i]);
        const bool exact = graph.tensors[t].type != ElementType::f32;
        if (exact && got[t].empty()) continue;
        expect_near(got[t], expected[t], exact ? 0 : tolerance, describe(graph, node, i));
      }
      for (TensorId t : node.updates) {
        expect_near(got[static_cast<size_t>(t)], expected[static_cast<size_t>(t)], tolerance,
                    str_cat(node.op, " update of ", graph.tensor(t).name));
      }
    }
  }
}

void expect_near(const std::vector<double>& got, const std::vector<double>& expected,
                 double tolerance, const std::string& what) {
  ASSERT_EQ(got.size(), expected.size()) << what;
  double scale = kSmallestScale;
  for (double e : expected) scale = std::max(scale, std::abs(e));
  for (size_t i = 0; i < got.size(); ++i) {
    // Written so that NaN fails.
    if (std::abs(got[i] - expected[i]) <= tolerance * scale) continue;
    ADD_FAILURE() << what << " element " << i << ": got " << got[i] << ", expected " << expected[i];
    return;
  }
}

}  // namespace thimble
