#include "transforms/sparse_weights.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <utility>

#include "base/names.h"
#include "ops/core/builder.h"
#include "ops/core/drop_grow.h"
#include "transforms/core/technique.h"

namespace thimble {
namespace {

constexpr int64_t kBlock = 16;

void require_one_of(const std::vector<std::string>& names, const std::string& came,
                    const char* what) {
  require(std::find(names.begin(), names.end(), came) != names.end(), "sparse.", what, " is \"",
          came, "\", needed one of ", joined(names), did_you_mean(came, names));
}

void check(const SparseWeights& how) {
  require(how.sparsity > 0 && how.sparsity < 1, "sparse.sparsity is ", how.sparsity,
          ", needed more than 0 and less than 1");
  require_one_of(sparse_methods(), how.method, "method");
  require_one_of(sparse_distributions(), how.distribution, "distribution");
  require_one_of(sparse_formats(), how.format, "format");
  require(how.every > 0, "sparse.every is ", how.every, ", needed 1 step or more");
  require(how.until >= 0, "sparse.until is ", how.until, ", needed a step or 0");
  require(how.drop > 0 && how.drop < 1, "sparse.drop is ", how.drop,
          ", needed more than 0 and less than 1");
}

// Of nodes that may have a sparse weight, which is their input 1.
std::vector<size_t> layers_of(const Graph& forward) {
  std::vector<size_t> layers;
  bool first = true;
  for (size_t n = 0; n < forward.nodes.size(); ++n) {
    const Node& node = forward.nodes[n];
    const bool conv = node.op == "conv2d";
    if (!conv && node.op != "linear") continue;
    const bool is_first = std::exchange(first, false);
    if (is_first || (conv && node.attributes.integer("groups") > 1)) continue;
    if (forward.tensor(node.inputs[1]).role == Role::weight) layers.push_back(n);
  }
  return layers;
}

// Computed on active blocks: no weight is written out.
bool is_pointwise(const Node& node) {
  if (node.op != "conv2d" || node.attributes.integer("bias") != 0) return false;
  const auto all = [&](const char* name, int64_t wanted) {
    const auto& values = node.attributes.integers(name);
    return std::all_of(values.begin(), values.end(), [&](int64_t v) { return v == wanted; });
  };
  return all("kernel", 1) && all("stride", 1) && all("dilation", 1) && all("padding", 0);
}

Attributes shape_attributes(const Shape& dense, int64_t block) {
  return {{"shape", std::vector<int64_t>{dense.begin(), dense.end()}}, {"block", block}};
}

class Rewriter {
 public:
  Rewriter(const Graph& from, const SparseWeights& how) : from_(from), how_(how) {
    to_ = from;
    to_.nodes.clear();
  }

  Graph run() {
    const std::vector<size_t> layers = layers_of(from_);
    require(!layers.empty(), from_.name, " has no layer whose weight may be sparse");
    std::vector<Shape> shapes;
    for (size_t n : layers) shapes.push_back(from_.tensor(from_.nodes[n].inputs[1]).shape);
    const std::vector<double> densities =
        layer_densities(shapes, 1 - how_.sparsity, how_.distribution);
    size_t layer = 0;
    for (size_t n = 0; n < from_.nodes.size(); ++n) {
      Node node = from_.nodes[n];
      if (layer < layers.size() && layers[layer] == n) {
        make_sparse(node, densities[layer]);
        ++layer;
      }
      to_.nodes.push_back(std::move(node));
    }
    verify(to_);
    return std::move(to_);
  }

 private:
  void make_sparse(Node& node, double density) {
    const TensorId weight = node.inputs[1];
    const Shape dense = to_.tensor(weight).shape;
    const bool blocks = how_.format == "blocks" && dense[0] % kBlock == 0;
    const int64_t block = blocks ? kBlock : 1;
    const SparseShape sparse(dense, block);
    const int64_t units = sparse.units();
    // As in RigL: so many are left out, rounded down.
    const auto left_out = static_cast<int64_t>((1 - density) * static_cast<double>(units) + 1e-9);
    const int64_t active = std::max<int64_t>(1, units - left_out);
    if (active == units) return;  // an index of everything would only cost
    Tensor& tensor = to_.tensor(weight);
    tensor.dense = dense;
    tensor.block = block;
    tensor.shape = {active * block};
    if (!is_normalised(node.outputs[0])) {
      tensor.init.value *= std::sqrt(static_cast<double>(units) / static_cast<double>(active));
    }
    const std::string name = tensor.name;
    Tensor index{name + kActive, {index_bytes(units, active)}, ElementType::u8, Role::statistic, {},
                 false};
    const TensorId where = to_.add_tensor(std::move(index));
    if (blocks && is_pointwise(node)) {
      node.op = "sparse_conv2d";
      node.attributes = shape_attributes(dense, block);
      node.inputs = {node.inputs[0], weight, where};
      return;
    }
    const TensorId out = append_node(to_, Phase::forward, "densify", name, {weight, where},
                                     shape_attributes(dense, block))[0];
    to_.tensor(out).role = Role::expanded;
    to_.tensor(out).name = name + " dense";
    node.inputs[1] = out;
  }

  // A normalisation brings what is made to its usual size, however few weights make it. Where none
  // does, first weights are larger by as much as there are fewer; elsewhere that would only make
  // the first steps smaller, which move a normalised layer's weights in proportion.
  bool is_normalised(TensorId made) const {
    return std::any_of(from_.nodes.begin(), from_.nodes.end(), [&](const Node& node) {
      const bool by_batch = node.op == "batch_norm" && node.attributes.integer("training") != 0;
      return (by_batch || node.op == "group_norm") && node.inputs[0] == made;
    });
  }

  const Graph& from_;
  const SparseWeights& how_;
  Graph to_;
};

// RigL's factor of each layer before scaling: (sum of its sizes) / (product of them).
double erk_factor(const Shape& layer) {
  const double sum = static_cast<double>(std::accumulate(layer.begin(), layer.end(), int64_t{0}));
  return sum / static_cast<double>(layer.elements());
}

}  // namespace

std::vector<std::string> sparse_methods() { return {"static", "set", "rigl"}; }
std::vector<std::string> sparse_distributions() { return {"uniform", "erk"}; }
std::vector<std::string> sparse_formats() { return {"positions", "blocks"}; }

std::vector<double> layer_densities(const std::vector<Shape>& layers, double density,
                                    const std::string& distribution) {
  std::vector<double> densities(layers.size(), density);
  if (distribution == "uniform") return densities;
  std::vector<bool> full(layers.size());
  for (;;) {
    double wanted = 0, scaled = 0;
    for (size_t i = 0; i < layers.size(); ++i) {
      const auto count = static_cast<double>(layers[i].elements());
      wanted += density * count - (full[i] ? count : 0);
      if (!full[i]) scaled += erk_factor(layers[i]) * count;
    }
    const double scale = scaled > 0 ? wanted / scaled : 0;
    bool more = false;
    for (size_t i = 0; i < layers.size(); ++i) {
      densities[i] = full[i] ? 1 : scale * erk_factor(layers[i]);
      if (densities[i] <= 1) continue;
      full[i] = more = true;
    }
    if (!more) return densities;
  }
}

Graph with_sparse_weights(const Graph& forward, const SparseWeights& how) {
  check(how);
  return Rewriter(forward, how).run();
}

std::string describe_sparse_weights(const Graph& graph, const std::string& method) {
  int64_t active = 0, all = 0;
  for (const Tensor& t : graph.tensors) {
    if (t.dense.rank() == 0) continue;
    active += t.shape.elements();
    all += t.dense.elements();
  }
  return str_cat(method, ", ", active, " of ", all, " positions active");
}

bool has_sparse_weights(const Graph& graph) {
  return std::any_of(graph.tensors.begin(), graph.tensors.end(),
                     [](const Tensor& t) { return t.dense.rank() > 0; });
}

Graph with_short_dense_moments(const Graph& training) {
  std::map<TensorId, const Node*> writes;   // by the dense weight
  std::map<TensorId, const Node*> gathers;  // by the gradient of the dense weight
  for (const Node& node : training.nodes) {
    if (node.op == "densify") writes[node.outputs[0]] = &node;
    if (node.op == "gather_active") gathers[node.inputs[0]] = &node;
  }
  Graph graph = training;
  graph.nodes.clear();
  for (const Node& from : training.nodes) {
    if (from.op == "gather_active") continue;  // stands behind what makes its input
    Node node = from;
    for (TensorId& t : node.inputs) {
      const auto write = writes.find(t);
      if (node.phase != Phase::backward || write == writes.end()) continue;
      Node again = *write->second;
      again.phase = Phase::backward;
      again.gradient_of = node.gradient_of;
      Tensor dense = training.tensor(t);
      dense.name += " for backward";
      t = again.outputs[0] = graph.add_tensor(std::move(dense));
      graph.nodes.push_back(std::move(again));
    }
    graph.nodes.push_back(node);
    for (TensorId t : node.outputs) {
      const auto gather = gathers.find(t);
      if (gather == gathers.end()) continue;
      graph.nodes.push_back(*gather->second);
      graph.nodes.back().gradient_of = node.gradient_of;
    }
  }
  verify(graph);
  return graph;
}

namespace {

// `rest`: the inputs behind those that the gradient is had from: the dense one, from which that of
// the values is gathered, or what a layer without a dense weight makes it from.
void add_candidates(Graph& graph, const Node& update, const Tensor& weight,
                    const Attributes& change, const std::vector<TensorId>& rest) {
  const auto maker = std::find_if(graph.nodes.begin(), graph.nodes.end(), [&](const Node& n) {
    return !n.outputs.empty() && n.outputs[0] == update.inputs[1];
  });
  const bool direct = maker->op == "sparse_conv2d_backward_weights";
  ensure(direct || maker->op == "gather_active", weight.name, " is read by more than one layer");
  std::vector<TensorId> inputs = {maker->inputs[0]};
  if (direct) inputs.push_back(maker->inputs[1]);
  inputs.insert(inputs.end(), rest.begin(), rest.end());
  Attributes attributes = change;
  attributes.set("values", weight.shape.elements());
  append_node(graph, Phase::update, direct ? "sparse_conv2d_candidates" : "growth_candidates",
              update.name, inputs, attributes);
}

}  // namespace

Graph with_changing_positions(const Graph& training, const SparseWeights& how) {
  check(how);
  Graph graph = training;
  const TensorId counter = graph.find("counter");
  ensure(counter != kNoTensor, graph.name, " counts no steps");
  int64_t layer = 0;
  for (const Node& update : training.nodes) {
    if (update.phase != Phase::update || !moves_weights(find_op(update.op))) continue;
    const TensorId weight = update.inputs[0];
    const Tensor& tensor = training.tensor(weight);
    if (tensor.dense.rank() == 0) continue;
    ++layer;
    const TensorId active = graph.find(tensor.name + kActive);
    Attributes attributes = shape_attributes(tensor.dense, tensor.block);
    attributes.set("every", how.every);
    attributes.set("until", how.until);
    attributes.set("drop", how.drop);
    const int64_t most = most_replaced(attributes, tensor.shape.elements() / tensor.block);
    if (most == 0) continue;
    TensorId candidates = kNoTensor;
    if (how.method == "rigl") {
      candidates = graph.add_tensor({str_cat("growth candidates.", tensor.name),
                                     {most},
                                     ElementType::i32,
                                     Role::accumulator,
                                     {},
                                     false});
      add_candidates(graph, update, tensor, attributes, {active, counter, candidates});
    }
    std::vector<TensorId> inputs = {active, counter, candidates, weight};
    for (TensorId t : update.updates) {
      if (training.tensor(t).role == Role::optimizer) inputs.push_back(t);
    }
    attributes.set("layer", layer);
    append_node(graph, Phase::finish, "drop_grow", update.name, inputs, attributes);
  }
  std::stable_partition(graph.nodes.begin(), graph.nodes.end(),
                        [](const Node& n) { return n.phase != Phase::finish; });
  verify(graph);
  return graph;
}

const Technique& technique_sparse_weights() {
  static const Technique technique = {
      .name = "sparse_weights",
      .summary = "Weights, gradients and momentum exist at active positions only (--sparsity)",
      .paper = "SET, arXiv 1707.04780; RigL, 1911.11134",
      .promise = [](const Graph&) { return Promise::approximate; }};
  return technique;
}

}  // namespace thimble
