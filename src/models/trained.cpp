#include "models/trained.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/names.h"
#include "models/trained_channels.h"
#include "ops/core/as_evaluated.h"
#include "ops/core/op.h"

namespace thimble {
namespace {

// `*`: any characters; `?`: one.
bool matches(std::string_view pattern, std::string_view name) {
  size_t p = 0, n = 0, star = pattern.npos, from = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      from = n;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == name[n])) {
      ++p;
      ++n;
    } else if (star != pattern.npos) {
      p = star + 1;
      n = ++from;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

// The parameters of a graph by what they do there.
class Parameters {
 public:
  explicit Parameters(const Graph& graph) : graph_(graph) {
    for (const Node& node : graph.nodes) {
      const auto& ports = find_op(node.op).inputs;
      const bool norm = reads(node, ports, "gamma") != kNoTensor;
      // Of standardised weights, the node that standardises them is the layer.
      const TensorId weights = norm ? kNoTensor : reads(node, ports, "weights");
      if (weights != kNoTensor && graph.tensor(weights).role == Role::weight) {
        layers_.emplace_back();
      }
      for (size_t i = 0; i < node.inputs.size(); ++i) {
        const TensorId t = node.inputs[i];
        if (t == kNoTensor || graph.tensor(t).role != Role::weight) continue;
        if (norm) norms_.insert(t);
        const std::string& port = ports[std::min(i, ports.size() - 1)].name;
        if (port == "bias" || port == "beta") biases_.insert(t);
        // A normalisation belongs to the layer before it.
        if (!layers_.empty()) layers_.back().insert(t);
      }
    }
  }

  std::set<TensorId> of(const std::string& rule) const {
    if (rule == "all") return named("*");
    if (rule == "head") return last(1);
    if (rule.starts_with("last:")) return last(count_in(rule));
    if (rule == "bias") return biases_;
    if (rule == "norm") return norms_;
    if (rule == "side") return named("side.*");
    return named(rule);
  }

 private:
  static TensorId reads(const Node& node, const std::vector<Port>& ports, std::string_view port) {
    for (size_t i = 0; i < std::min(ports.size(), node.inputs.size()); ++i) {
      if (ports[i].name == port) return node.inputs[i];
    }
    return kNoTensor;
  }

  size_t count_in(const std::string& rule) const {
    const auto count = count_of(std::string_view(rule).substr(5));
    const auto layers = static_cast<int64_t>(layers_.size());
    require(count && *count >= 1 && *count <= layers, "train: '", rule,
            "', needed last: and a number from 1 to ", layers, ", the layers that have weights");
    return static_cast<size_t>(*count);
  }

  std::set<TensorId> last(size_t count) const {
    std::set<TensorId> all;
    for (size_t i = layers_.size() - std::min(count, layers_.size()); i < layers_.size(); ++i) {
      all.insert(layers_[i].begin(), layers_[i].end());
    }
    return all;
  }

  std::set<TensorId> named(const std::string& pattern) const {
    std::set<TensorId> all;
    for (size_t t = 0; t < graph_.tensors.size(); ++t) {
      const Tensor& tensor = graph_.tensors[t];
      if (tensor.role == Role::weight && matches(pattern, tensor.name)) {
        all.insert(static_cast<TensorId>(t));
      }
    }
    return all;
  }

  const Graph& graph_;
  std::vector<std::set<TensorId>> layers_;  // with weights, in the order of the network
  std::set<TensorId> biases_, norms_;
};

std::vector<std::string> listed(const std::string& rules) {
  std::vector<std::string> all(1);
  for (const char c : rules) {
    if (c == ',') {
      all.emplace_back();
    } else if (c != ' ') {
      all.back() += c;
    }
  }
  return all;
}

// A few of them, to choose from.
std::string some_names(const Graph& graph) {
  std::vector<std::string> names;
  for (const Tensor& t : graph.tensors) {
    if (t.role == Role::weight) names.push_back(t.name);
  }
  constexpr size_t kShown = 6;
  if (names.size() > kShown) {
    names.erase(names.begin() + kShown / 2, names.end() - kShown / 2);
    names.insert(names.begin() + kShown / 2, "...");
  }
  return joined(names);
}

// What is trained, and of each which channels.
using Trained = std::map<TensorId, ChannelRange>;

Trained trained_by(const Graph& graph, const std::string& rules) {
  const Parameters parameters(graph);
  Trained trained;
  for (const std::string& rule : listed(rules)) {
    const bool out = rule.starts_with("!");
    const PartOfRule part = part_of(out ? rule.substr(1) : rule);
    require(!out || !part.channels, "train: '", rule,
            "' takes out a part; name the part that is trained behind what names the whole");
    const std::set<TensorId> found = parameters.of(part.names);
    require(!found.empty(), "train: '", rule, "' names no weight; rules are all, head, last:K, ",
            "bias, norm, side and patterns of names, such as ", some_names(graph));
    for (TensorId t : found) {
      if (out) {
        trained.erase(t);
      } else {
        trained[t] = part.channels ? range_of(graph, t, *part.channels, rule) : ChannelRange{};
      }
    }
  }
  return trained;
}

}  // namespace

Graph with_trained(Graph forward, const std::string& rules, const std::vector<std::string>& fresh) {
  Trained trained = trained_by(forward, rules);
  for (const std::string& name : fresh) trained[forward.find(name)] = {};
  require(!trained.empty(), "train: '", rules, "' leaves nothing to train");
  for (size_t t = 0; t < forward.tensors.size(); ++t) {
    Tensor& tensor = forward.tensors[t];
    if (tensor.role != Role::weight) continue;
    const auto it = trained.find(static_cast<TensorId>(t));
    tensor.trainable = it != trained.end();
    tensor.trained_part = tensor.trainable ? it->second : ChannelRange{};
  }
  for (Node& node : forward.nodes) {
    if (node.op != "batch_norm") continue;
    if (!forward.tensor(node.inputs[2]).trainable) as_evaluated(forward, node);
  }
  return forward;
}

}  // namespace thimble
