#include "transforms/sum_in_place.h"

#include <algorithm>
#include <optional>

#include "ops/core/op.h"
#include "transforms/core/technique.h"

namespace thimble {
namespace {

size_t at(int32_t id) { return static_cast<size_t>(id); }

class Fuser {
 public:
  explicit Fuser(const Graph& graph) : graph_(graph), removed_(graph.nodes.size()) { index(); }

  Graph run() {
    for (size_t n = 0; n < graph_.nodes.size(); ++n) {
      if (has_sum_form(graph_.nodes[n]) && sum_before(static_cast<int32_t>(n))) ++n;
    }
    for (size_t n = 0; n < graph_.nodes.size(); ++n) {
      if (has_sum_form(graph_.nodes[n])) fuse(static_cast<int32_t>(n));
    }
    std::vector<Node> nodes;
    for (size_t n = 0; n < graph_.nodes.size(); ++n) {
      if (!removed_[n]) nodes.push_back(std::move(graph_.nodes[n]));
    }
    graph_.nodes = std::move(nodes);
    verify(graph_);
    return std::move(graph_);
  }

 private:
  // The sum that a result goes into, and what it is added to.
  struct Sum {
    TensorId addend = kNoTensor;
    TensorId dst = kNoTensor;  // kNoTensor: the reader sums what it reads
    double sign = 1;
  };

  static bool has_sum_form(const Node& node) { return !find_op(node.op).sum_form.empty(); }

  void index() {
    maker_.assign(graph_.tensors.size(), -1);
    readers_.assign(graph_.tensors.size(), {});
    for (size_t n = 0; n < graph_.nodes.size(); ++n) {
      for (TensorId t : graph_.nodes[n].inputs) {
        if (t != kNoTensor) readers_[at(t)].push_back(static_cast<int32_t>(n));
      }
      for (TensorId t : graph_.nodes[n].outputs) {
        if (t != kNoTensor) maker_[at(t)] = static_cast<int32_t>(n);
      }
    }
  }

  // What the result is added to may be a sum as well that only waits for its turn: it is made
  // first.
  bool sum_before(int32_t n) {
    const TensorId made = graph_.nodes[at(n)].outputs[0];
    if (graph_.tensor(made).type != ElementType::f32 || readers_[at(made)].size() != 1)
      return false;
    const std::optional<Sum> sum = sum_of(graph_.nodes[at(readers_[at(made)].front())], made);
    if (!sum) return false;
    const int32_t other = maker_[at(sum->addend)];
    if (other <= n || !find_op(graph_.nodes[at(other)].op).sum_signs) return false;
    if (graph_.nodes[at(other)].phase != graph_.nodes[at(n)].phase) return false;
    if (graph_.nodes[at(other)].band != graph_.nodes[at(n)].band) return false;
    for (TensorId t : graph_.nodes[at(other)].inputs) {
      if (maker_[at(t)] >= n) return false;
    }
    const auto begin = graph_.nodes.begin();
    std::rotate(begin + n, begin + other, begin + other + 1);
    index();
    return true;
  }

  void fuse(int32_t n) {
    Node& node = graph_.nodes[at(n)];
    const TensorId made = node.outputs[0];
    if (graph_.tensor(made).type != ElementType::f32 || readers_[at(made)].size() != 1) return;
    const int32_t r = readers_[at(made)].front();
    Node& reader = graph_.nodes[at(r)];
    const std::optional<Sum> sum = sum_of(reader, made);
    if (!sum || sum->addend == made || maker_[at(sum->addend)] >= n) return;
    if (reader.phase != node.phase || reader.band != node.band) return;
    if (sum->dst == kNoTensor && !dies_at(sum->addend, n, r)) return;
    const OpDef& def = find_op(find_op(node.op).sum_form);
    node.op = def.name;
    node.inputs.resize(def.inputs.size(), kNoTensor);
    node.inputs.back() = sum->addend;
    node.attributes.set("sign", sum->sign);
    if (sum->dst == kNoTensor) {
      const auto [first, second] = find_op(reader.op).summed_inputs;
      reader.inputs[first] = made;
      reader.inputs[second] = kNoTensor;
    } else {
      node.outputs[0] = sum->dst;
      maker_[at(sum->dst)] = n;
      removed_[at(r)] = true;
    }
    std::replace(readers_[at(sum->addend)].begin(), readers_[at(sum->addend)].end(), r, n);
  }

  // Else the sum would lie beside it, and a reader that sums gains nothing.
  bool dies_at(TensorId addend, int32_t n, int32_t reader) const {
    const std::vector<int32_t>& readers = readers_[at(addend)];
    return std::all_of(readers.begin(), readers.end(),
                       [&](int32_t r) { return r < n || r == reader; });
  }

  std::optional<Sum> sum_of(const Node& reader, TensorId made) const {
    const auto& in = reader.inputs;
    const OpDef& op = find_op(reader.op);
    if (op.sum_signs) {
      const size_t place = in[0] == made ? 0 : 1;
      if ((*op.sum_signs)[1 - place] != 1) return std::nullopt;  // what lies there is not negated
      return Sum{in[1 - place], reader.outputs[0], (*op.sum_signs)[place]};
    }
    const auto [first, second] = op.summed_inputs;
    if (first == second || in.size() <= second || in[second] == kNoTensor) return std::nullopt;
    if (in[first] != made && in[second] != made) return std::nullopt;
    const TensorId other = in[first] == made ? in[second] : in[first];
    return Sum{other, kNoTensor, 1};
  }

  Graph graph_;
  std::vector<int32_t> maker_;                 // by tensor
  std::vector<std::vector<int32_t>> readers_;  // by tensor
  std::vector<bool> removed_;                  // by node
};

}  // namespace

Graph sum_in_place(const Graph& graph) { return Fuser(graph).run(); }

const Technique& technique_sum_in_place() {
  static const Technique technique = {
      .name = "sum_in_place",
      .summary = "Convolutions add their results to sums and gradients where those lie",
      .paper = "",
      .stage = Technique::Stage::last,
      .promise = [](const Graph&) { return Promise::bit_exact; },
      .free = true,
      .apply =
          [](const Graph& graph, int64_t) {
            return Rewrite{sum_in_place(graph), ""};
          }};
  return technique;
}

}  // namespace thimble
