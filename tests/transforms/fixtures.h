#pragma once

#include <string>
#include <vector>

#include "autodiff/differentiate.h"
#include "models/model.h"
#include "support/check_net.h"

namespace thimble::transforms_test {

// A narrow network of the zoo on small images.
inline Graph small_net(const std::string& model, int64_t batch, const std::string& norm = "batch") {
  ModelOptions o;
  o.batch = batch;
  o.width = 0.25;
  o.height = model == "lenet" ? 28 : 32;
  o.norm = norm;
  return build_model(model, o);
}

inline Graph training_graph(const Graph& forward, const OptimizerSpec& optimizer = {"sgd", {}}) {
  return add_optimizer(differentiate(forward, forward.find("loss")), optimizer);
}

// Everything that `plain` keeps from step to step, after three steps of `graph`, a rewritten form
// of it, from the same values.
inline std::vector<std::vector<std::byte>> trained_state(const Graph& graph, const Graph& plain,
                                                         const std::string& backend) {
  ArenaRun run(graph, backend);
  const Values inputs = draw_inputs(plain, 5);
  for (size_t t = 0; t < plain.tensors.size(); ++t) {
    if (!inputs[t].empty()) run.set(graph.find(plain.tensors[t].name), inputs[t]);
  }
  for (int step = 0; step < 3; ++step) run.run();
  std::vector<std::vector<std::byte>> state;
  for (const Tensor& t : plain.tensors) {
    const bool kept = is_persistent(t.role) && t.role != Role::data;
    if (kept) state.push_back(run.bytes(graph.find(t.name)));
  }
  return state;
}

}  // namespace thimble::transforms_test
