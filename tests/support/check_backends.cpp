#include "support/check_backends.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace thimble {
namespace {

// Below this, a tensor counts as zero: its relative error would be noise.
constexpr double kSmallestScale = 1e-2;

Values run_portable(const Graph& graph, const Values& values, int threads) {
  const int before = thread_count();
  set_thread_count(threads);
  Interpreter<float> interpreter(graph);
  interpreter.set(values);
  interpreter.run();
  set_thread_count(before);
  return interpreter.get();
}

std::string describe(const Graph& graph, const Node& node, size_t output) {
  return str_cat(node.op, " output ", output, " (", graph.tensor(node.outputs[output]).name, ")");
}

}  // namespace

std::vector<Runner> runners() {
  return {{"portable", [](const Graph& g, const Values& v) { return run_portable(g, v, 1); }},
          {"portable on 3 threads",
           [](const Graph& g, const Values& v) { return run_portable(g, v, 3); }}};
}

void check_backends(const Graph& graph, const Values& values, double tolerance) {
  const std::vector<Runner> all = runners();
  const Values expected = all[0].run(graph, values);
  for (size_t r = 1; r < all.size(); ++r) {
    const Values got = all[r].run(graph, values);
    for (const Node& node : graph.nodes) {
      for (size_t i = 0; i < node.outputs.size(); ++i) {
        if (node.outputs[i] == kNoTensor) continue;
        const auto t = static_cast<size_t>(node.outputs[i]);
        const bool exact = graph.tensors[t].type != ElementType::f32;
        expect_near(got[t], expected[t], exact ? 0 : tolerance,
                    str_cat(all[r].name, ": ", describe(graph, node, i)));
      }
      for (TensorId t : node.updates) {
        expect_near(got[static_cast<size_t>(t)], expected[static_cast<size_t>(t)], tolerance,
                    str_cat(all[r].name, ": ", node.op, " update of ", graph.tensor(t).name));
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
