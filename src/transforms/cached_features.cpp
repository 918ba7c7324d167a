#include "transforms/cached_features.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "ops/core/builder.h"
#include "transforms/core/technique.h"

namespace thimble {
namespace {

// What is spared of the forward pass, at least: in front of a trained network stands a layer or two
// that nobody need run twice, and what these make is larger than a picture.
constexpr double kLeastSpared = 0.1;

size_t at(TensorId t) { return static_cast<size_t>(t); }

bool is_parameter(const Tensor& t) { return t.role == Role::weight || t.role == Role::statistic; }

// Which nodes are frozen, and which are left when a tensor comes from a file.
class FrozenPart {
 public:
  explicit FrozenPart(const Graph& graph)
      : graph_(graph),
        images_(graph.find("images")),
        frozen_(graph.tensors.size()),
        sees_(graph.tensors.size()),
        maker_(graph.tensors.size(), -1) {
    ensure(images_ != kNoTensor, graph.name, " has no images");
    for (size_t t = 0; t < graph.tensors.size(); ++t) {
      frozen_[t] = is_parameter(graph.tensors[t]) && !graph.tensors[t].trainable;
    }
    frozen_[at(images_)] = sees_[at(images_)] = true;
    for (size_t n = 0; n < graph.nodes.size(); ++n) {
      const Node& node = graph.nodes[n];
      const bool frozen = computes_the_same(node) && all_frozen(node);
      for (TensorId t : node.outputs) {
        if (t == kNoTensor) continue;
        maker_[at(t)] = static_cast<int32_t>(n);
        frozen_[at(t)] = frozen;
        sees_[at(t)] = any_sees(node);
      }
      frozen_nodes_.push_back(frozen);
    }
  }

  // In every step of training, as in evaluation.
  static bool computes_the_same(const Node& node) {
    const bool training = node.attributes.has("training") && node.attributes.integer("training");
    return !training && node.updates.empty();
  }

  bool may_be_cached(TensorId t) const {
    const Tensor& tensor = graph_.tensor(t);
    return t != images_ && frozen_[at(t)] && sees_[at(t)] && tensor.role == Role::activation &&
           tensor.type == ElementType::f32 && tensor.shape[0] == graph_.tensor(images_).shape[0];
  }

  // The nodes that a step still runs when this tensor comes from a file: what is not frozen, and
  // what that reads.
  std::vector<bool> left_behind(TensorId features) const {
    std::vector<bool> left(graph_.nodes.size());
    for (size_t n = graph_.nodes.size(); n-- > 0;) {
      left[n] = left[n] || !frozen_nodes_[n];
      if (!left[n]) continue;
      for (TensorId t : graph_.nodes[n].inputs) {
        if (t != kNoTensor && t != features && maker_[at(t)] >= 0) left[at(maker_[at(t)])] = true;
      }
    }
    return left;
  }

  bool reads_images(const std::vector<bool>& left) const {
    for (size_t n = 0; n < left.size(); ++n) {
      const auto& inputs = graph_.nodes[n].inputs;
      if (left[n] && std::find(inputs.begin(), inputs.end(), images_) != inputs.end()) return true;
    }
    return false;
  }

  // Of the forward pass's work.
  double spared(const std::vector<bool>& left) const {
    double all = 0, spared = 0;
    for (size_t n = 0; n < left.size(); ++n) {
      const auto flops = static_cast<double>(flops_of(graph_, graph_.nodes[n]));
      all += flops;
      spared += left[n] ? 0 : flops;
    }
    return all > 0 ? spared / all : 0;
  }

  // The first node that cannot be frozen, whatever it reads, and why.
  std::string obstacle() const {
    for (const Node& node : graph_.nodes) {
      for (TensorId t : node.inputs) {
        if (t == kNoTensor || !graph_.tensor(t).trainable) continue;
        return str_cat(graph_.tensor(t).name, " is trained, in the layer ", node.name,
                       " that reads ", graph_.tensor(node.inputs[0]).name);
      }
      if (!computes_the_same(node)) {
        return str_cat("the layer ", node.name, " (", node.op,
                       ") computes another thing in training than in evaluation");
      }
    }
    return "nothing is trained";
  }

 private:
  bool all_frozen(const Node& node) const {
    return std::all_of(node.inputs.begin(), node.inputs.end(),
                       [&](TensorId t) { return t == kNoTensor || frozen_[at(t)]; });
  }
  bool any_sees(const Node& node) const {
    return std::any_of(node.inputs.begin(), node.inputs.end(),
                       [&](TensorId t) { return t != kNoTensor && sees_[at(t)]; });
  }

  const Graph& graph_;
  const TensorId images_;
  std::vector<bool> frozen_;  // by tensor: the same for an example in every step
  std::vector<bool> sees_;    // by tensor: made of images
  std::vector<int32_t> maker_;
  std::vector<bool> frozen_nodes_;
};

TensorId found(const Graph& graph, const std::string& name) {
  const TensorId t = graph.find(name);
  ensure(t != kNoTensor, graph.name, " has no tensor ", name);
  return t;
}

}  // namespace

std::string find_features(const Graph& forward) {
  const FrozenPart part(forward);
  double spared = 0;
  for (auto node = forward.nodes.rbegin(); node != forward.nodes.rend() && spared == 0; ++node) {
    for (TensorId t : node->outputs) {
      if (t == kNoTensor || !part.may_be_cached(t)) continue;
      const std::vector<bool> left = part.left_behind(t);
      if (part.reads_images(left)) continue;
      spared = part.spared(left);
      if (spared >= kLeastSpared) return forward.tensor(t).name;
    }
  }
  throw UserError(str_cat(
      "no features can be cached: ", part.obstacle(), ", so that ",
      spared > 0 ? str_cat("what is frozen in front of it spares ", std::lround(spared * 100),
                           "% of the forward pass")
                 : "no frozen layer stands in front of all that is trained",
      "; train what stands behind a frozen part alone, as --train head or --train last:K do with "
      "--norm frozen, or leave out --cache-features"));
}

Graph behind_features(const Graph& forward, const std::string& features) {
  const TensorId cut = found(forward, features);
  const std::vector<bool> left = FrozenPart(forward).left_behind(cut);
  std::vector<bool> kept(forward.tensors.size());
  for (size_t t = 0; t < kept.size(); ++t) kept[t] = is_parameter(forward.tensors[t]);
  kept[at(cut)] = true;
  for (size_t n = 0; n < left.size(); ++n) {
    if (!left[n]) continue;
    for (const auto* ids : {&forward.nodes[n].inputs, &forward.nodes[n].outputs}) {
      for (TensorId t : *ids) {
        if (t != kNoTensor) kept[at(t)] = true;
      }
    }
  }
  Graph graph;
  graph.name = forward.name;
  graph.microbatches = forward.microbatches;
  std::vector<TensorId> now(forward.tensors.size(), kNoTensor);
  for (size_t t = 0; t < kept.size(); ++t) {
    if (kept[t]) now[t] = graph.add_tensor(forward.tensors[t]);
  }
  graph.tensor(now[at(cut)]).role = Role::data;
  graph.tensor(now[at(cut)]).name = kCachedFeatures;
  for (size_t n = 0; n < left.size(); ++n) {
    if (!left[n]) continue;
    Node& node = graph.nodes.emplace_back(forward.nodes[n]);
    for (auto* ids : {&node.inputs, &node.outputs, &node.updates}) {
      for (TensorId& t : *ids) t = t == kNoTensor ? t : now[at(t)];
    }
  }
  verify(graph);
  return graph;
}

Graph keeping_features(Graph evaluation, const std::string& features) {
  const TensorId from = found(evaluation, features);
  // Plain, whatever layout the part's kernels have.
  const TensorId kept =
      append_node(evaluation, Phase::forward, "flatten", kCachedFeatures, {from})[0];
  evaluation.tensor(kept).role = Role::metric;
  evaluation.tensor(kept).name = kCachedFeatures;
  // As soon as it is there: nobody need keep the other for that.
  const auto maker =
      std::find_if(evaluation.nodes.begin(), evaluation.nodes.end(), [&](const Node& n) {
        return std::find(n.outputs.begin(), n.outputs.end(), from) != n.outputs.end();
      });
  std::rotate(maker + 1, evaluation.nodes.end() - 1, evaluation.nodes.end());
  verify(evaluation);
  return evaluation;
}

std::vector<std::string> weights_before(const Graph& forward, const std::string& features) {
  const std::vector<bool> left = FrozenPart(forward).left_behind(found(forward, features));
  std::vector<bool> read(forward.tensors.size());
  for (size_t n = 0; n < left.size(); ++n) {
    if (left[n]) continue;
    for (TensorId t : forward.nodes[n].inputs) {
      if (t != kNoTensor) read[at(t)] = is_parameter(forward.tensor(t));
    }
  }
  std::vector<std::string> names;
  for (size_t t = 0; t < read.size(); ++t) {
    if (read[t]) names.push_back(forward.tensors[t].name);
  }
  return names;
}

const Technique& technique_cached_features() {
  static const Technique technique = {
      .name = "cached_features",
      .summary =
          "What the frozen part makes of each training picture is computed once and read from a "
          "file (--cache-features)",
      .paper = "",
      .promise = [](const Graph&) { return Promise::same_math; }};
  return technique;
}

}  // namespace thimble
