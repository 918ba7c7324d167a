#include "support/check_net.h"

#include <algorithm>

#include "base/random.h"
#include "support/check_backends.h"
#include "support/experiment.h"
#include "support/sparse_bytes.h"

namespace thimble {
namespace {

Draw draw_of(const Tensor& t, int64_t classes) {
  if (t.type != ElementType::f32) return integers(0, t.name == "labels" ? classes : 1000);
  if (t.role == Role::data) return uniform(-1, 1);
  if (t.role == Role::optimizer) return uniform(0, 1);
  switch (t.init.kind) {
    case Init::Kind::zeros:
      return uniform(-0.5, 0.5);
    case Init::Kind::constant:
      return uniform(t.init.value - 0.5, t.init.value + 0.5);
    case Init::Kind::normal:  // of the same deviation
      return uniform(-1.7 * t.init.value, 1.7 * t.init.value);
    case Init::Kind::uniform:
      return uniform(-t.init.value, t.init.value);
  }
  return uniform(-1, 1);
}

// An index of positions, drawn: nothing else that lies in these bytes would be one.
std::vector<double> drawn_index(const Graph& graph, const Tensor& index, uint64_t seed) {
  const std::string of = index.name.substr(0, index.name.size() - std::string(kActive).size());
  const Tensor& weight = graph.tensor(graph.find(of));
  const SparseShape shape = sparse_shape(weight);
  const int64_t groups = shape.group > 1 ? shape.groups() : 1;
  const int64_t size = shape.units() / groups;
  const int64_t each = weight.shape.elements() / weight.block / groups;
  std::vector<int64_t> active;
  for (int64_t g = 0; g < groups; ++g) {
    const Permutation permutation(size, seed, static_cast<uint64_t>(g));
    for (int64_t i = 0; i < each; ++i) active.push_back(g * size + permutation.permuted(i));
  }
  std::sort(active.begin(), active.end());
  return as_doubles(index_of(active, shape));
}

}  // namespace

Values draw_inputs(const Graph& graph, uint64_t seed, int64_t classes) {
  Values values(graph.tensors.size());
  for (size_t t = 0; t < graph.tensors.size(); ++t) {
    const Tensor& tensor = graph.tensors[t];
    if (!is_persistent(tensor.role) || tensor.role == Role::metric) continue;
    const auto id = static_cast<TensorId>(t);
    if (tensor.name.ends_with(kActive)) {
      values[t] = drawn_index(graph, tensor, seed);
      continue;
    }
    values[t] = draw_values(graph, id, draw_of(tensor, classes), seed);
  }
  return values;
}

void check_net(const Graph& forward, TensorId output, bool by_images, double tolerance) {
  Experiment e;
  e.graph = forward;
  add_seed(e, output);
  if (by_images) e.wanted = {forward.find("images")};
  const Differentiated d = differentiate(e.graph, e.outputs, e.seeds, e.wanted);
  check_backends(d.graph, draw_inputs(d.graph, 1), tolerance);
}

}  // namespace thimble
