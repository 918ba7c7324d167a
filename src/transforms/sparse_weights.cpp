#include "transforms/sparse_weights.h"

#include <algorithm>
#include <charconv>
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
  if (const auto groups = groups_of(how.format)) {
    require(std::abs(how.sparsity - groups->sparsity()) < 1e-6, "sparse.format is ", how.format,
            ", which leaves ", groups->sparsity(), " of the positions out, and sparse.sparsity is ",
            how.sparsity, "; give sparse.sparsity ", groups->sparsity(), ", or 0");
  } else {
    const std::vector<std::string> names = sparse_formats();
    require(std::find(names.begin(), names.end(), how.format) != names.end(), "sparse.format is \"",
            how.format, "\", needed ", joined(names), " or N:M, such as 2:4",
            did_you_mean(how.format, names));
  }
  require(how.every > 0, "sparse.every is ", how.every, ", needed 1 step or more");
  require(how.until >= 0, "sparse.until is ", how.until, ", needed a step or 0");
  require(how.drop > 0 && how.drop < 1, "sparse.drop is ", how.drop,
          ", needed more than 0 and less than 1");
  require(how.gradient >= 0, "sparse.gradient is ", how.gradient, ", needed 0 or more");
  require(how.method != "static" || !how.explored,
          "sparse.explored needs positions that change, and sparse.method is static");
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

class Rewriter {
 public:
  Rewriter(const Graph& from, const SparseWeights& how)
      : from_(from), how_(how), groups_(groups_of(how.format)) {
    to_ = from;
    to_.nodes.clear();
  }

  Graph run() {
    const std::vector<size_t> layers = layers_of(from_);
    require(!layers.empty(), from_.name, " has no layer whose weight may be sparse");
    std::vector<Shape> shapes;
    for (size_t n : layers) {
      const Tensor& weight = from_.tensor(from_.nodes[n].inputs[1]);
      ensure(weight.trained_part.is_whole(), weight.name, " is sparse and trained in part");
      shapes.push_back(weight.shape);
    }
    const std::vector<double> densities =
        layer_densities(shapes, 1 - how_.sparsity, groups_ ? "uniform" : how_.distribution);
    size_t layer = 0;
    for (size_t n = 0; n < from_.nodes.size(); ++n) {
      Node node = from_.nodes[n];
      if (layer < layers.size() && layers[layer] == n) {
        make_sparse(node, densities[layer]);
        ++layer;
      }
      to_.nodes.push_back(std::move(node));
    }
    require(!groups_ || has_sparse_weights(to_), from_.name,
            " has no layer whose input channels come in ", how_.format);
    verify(to_);
    return std::move(to_);
  }

 private:
  // As in RigL: so many are left out, rounded down. In groups, equally many of each.
  int64_t count_active(const SparseShape& sparse, double density) const {
    if (groups_) return sparse.groups() * groups_->active;
    const auto units = static_cast<double>(sparse.units());
    const auto left_out = static_cast<int64_t>((1 - density) * units + 1e-9);
    return std::max<int64_t>(1, sparse.units() - left_out);
  }

  void make_sparse(Node& node, double density) {
    const TensorId weight = node.inputs[1];
    const Shape dense = to_.tensor(weight).shape;
    if (groups_ && dense[1] % groups_->size != 0) return;
    const bool blocks = how_.format == "blocks" && dense[0] % kSparseBlock == 0;
    const int64_t block = blocks ? kSparseBlock : 1;
    const SparseShape sparse(dense, block, groups_ ? groups_->size : 1);
    const int64_t units = sparse.units(), active = count_active(sparse, density);
    if (active == units) return;  // an index of everything would only cost
    Tensor& tensor = to_.tensor(weight);
    tensor.dense = dense;
    tensor.block = block;
    tensor.group = sparse.group;
    tensor.shape = {active * block};
    const Attributes attributes = attributes_of_sparse(tensor);
    if (!is_normalised(node.outputs[0])) {
      tensor.init.value *= std::sqrt(static_cast<double>(units) / static_cast<double>(active));
    }
    const std::string name = tensor.name;
    Tensor index{
        name + kActive, {index_bytes(sparse, active)}, ElementType::u8, Role::statistic, {}, false};
    const TensorId where = to_.add_tensor(std::move(index));
    if (blocks && is_pointwise(node)) {
      node.op = "sparse_conv2d";
      node.attributes = attributes;
      node.inputs = {node.inputs[0], weight, where};
      return;
    }
    const TensorId out =
        append_node(to_, Phase::forward, "densify", name, {weight, where}, attributes)[0];
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
  std::optional<Groups> groups_;
  Graph to_;
};

// RigL's factor of each layer before scaling: (sum of its sizes) / (product of them).
double erk_factor(const Shape& layer) {
  const double sum = static_cast<double>(std::accumulate(layer.begin(), layer.end(), int64_t{0}));
  return sum / static_cast<double>(layer.elements());
}

}  // namespace

std::vector<std::string> sparse_methods() { return {"static", "set", "rigl", "mest"}; }
std::vector<std::string> sparse_distributions() { return {"uniform", "erk"}; }
std::vector<std::string> sparse_formats() { return {"positions", "blocks"}; }

std::optional<Groups> groups_of(const std::string& format) {
  const size_t colon = format.find(':');
  if (colon == std::string::npos) return std::nullopt;
  const auto number = [](std::string_view text) {
    int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc() && end == text.data() + text.size() ? value : 0;
  };
  const std::string_view text = format;
  const Groups groups = {number(text.substr(0, colon)), number(text.substr(colon + 1))};
  const bool possible = groups.active > 0 && groups.active < groups.size;
  require(possible && is_group(groups.size), "sparse.format is \"", format,
          "\"; N:M, such as 2:4 or 1:8, needs 0 < N < M, and an M that is a power of two up to ",
          kLargestGroup);
  return groups;
}

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
void add_growth_candidates(Graph& graph, const Node& update, const Tensor& weight,
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

// What changes one layer's positions.
class LayerChange {
 public:
  LayerChange(Graph& graph, const SparseWeights& how, const Node& update)
      : graph_(graph),
        how_(how),
        update_(update),
        weight_(graph.tensor(update.inputs[0])),
        active_(graph.find(weight_.name + kActive)),
        counter_(graph.find("counter")),
        attributes_(attributes_of_sparse(weight_)) {
    attributes_.set("every", how.every);
    attributes_.set("until", how.until);
    attributes_.set("drop", how.drop);
    most_ = most_replaced(attributes_, weight_.shape.elements() / weight_.block);
  }

  void add(int64_t layer) {
    if (most_ == 0) return;
    std::vector<TensorId> inputs = {active_, counter_, kNoTensor, kNoTensor, update_.inputs[0]};
    if (how_.method == "rigl") {
      inputs[2] = add_candidates("growth");
      add_growth_candidates(graph_, update_, weight_, attributes_, {active_, counter_, inputs[2]});
    }
    if (how_.method == "mest") inputs[3] = add_drop_candidates();
    for (TensorId t : update_.updates) {
      if (graph_.tensor(t).role == Role::optimizer) inputs.push_back(t);
    }
    if (how_.explored) mark();
    Attributes attributes = attributes_;
    attributes.set("layer", layer);
    append_node(graph_, Phase::finish, "drop_grow", update_.name, inputs, attributes);
  }

 private:
  TensorId add_candidates(const char* what) {
    const Shape shape = {most_};
    return graph_.add_tensor({str_cat(what, " candidates.", weight_.name),
                              shape,
                              ElementType::i32,
                              Role::accumulator,
                              {},
                              false});
  }

  // In front of the optimizer's step: of weights and the gradient at them.
  TensorId add_drop_candidates() {
    const TensorId drops = add_candidates("drop");
    Attributes attributes = attributes_;
    attributes.set("gradient", how_.gradient);
    append_node(graph_, Phase::update, "drop_candidates", update_.name,
                {update_.inputs[0], update_.inputs[1], counter_, drops}, attributes);
    const auto step = std::find(graph_.nodes.begin(), graph_.nodes.end(), update_);
    std::rotate(step, graph_.nodes.end() - 1, graph_.nodes.end());
    return drops;
  }

  void mark() {
    const Shape shape = {explored_bytes(sparse_shape(weight_))};
    const TensorId explored = graph_.add_tensor(
        {weight_.name + kExplored, shape, ElementType::u8, Role::statistic, {}, false});
    Attributes attributes = attributes_;
    attributes.set("values", weight_.shape.elements());
    append_node(graph_, Phase::finish, "mark_active", update_.name, {active_, counter_, explored},
                attributes);
  }

  Graph& graph_;
  const SparseWeights& how_;
  const Node& update_;
  const Tensor weight_;
  const TensorId active_, counter_;
  Attributes attributes_;
  int64_t most_ = 0;
};

}  // namespace

Graph with_changing_positions(const Graph& training, const SparseWeights& how) {
  Graph graph = training;
  ensure(graph.find("counter") != kNoTensor, graph.name, " counts no steps");
  int64_t layer = 0;
  for (const Node& update : training.nodes) {
    if (update.phase != Phase::update || !moves_weights(find_op(update.op))) continue;
    if (training.tensor(update.inputs[0]).dense.rank() == 0) continue;
    LayerChange(graph, how, update).add(++layer);
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
      .paper =
          "SET, arXiv 1707.04780; RigL, 1911.11134; MEST, 2110.14032; ITOP, 2102.02887; N:M, "
          "2104.08378",
      .promise = [](const Graph&) { return Promise::approximate; }};
  return technique;
}

}  // namespace thimble
