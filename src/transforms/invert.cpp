#include "transforms/invert.h"

#include <algorithm>
#include <limits>
#include <map>
#include <set>

#include "ops/core/builder.h"
#include "transforms/core/again.h"

namespace thimble {
namespace {

size_t at(int32_t id) { return static_cast<size_t>(id); }

// Of a tensor that one float operation made: noise of some 2^-23 of the signal.
constexpr auto kFloatSnrDb = static_cast<double>(kMostSnrDb);

// How a tensor that is not kept is made once more.
struct Way {
  int32_t node = -1;   // the forward node that reads it, or made it
  size_t input = 0;    // of that node
  bool again = false;  // the node runs once more; otherwise its input is inverted
  double loss_db = 0;
  std::vector<TensorId> reads = {};
};
using Ways = std::map<TensorId, Way>;

// Decides which saved tensors are rebuilt, and how. From the loss down, so that what lies behind a
// tensor is settled first; each choice stands only if everything can still be made from what is
// kept.
class Choice {
 public:
  Choice(const Graph& training, int64_t snr_db)
      : graph_(training),
        snr_db_(snr_db),
        producer_(training.tensors.size(), -1),
        readers_(training.tensors.size()),
        kept_(training.tensors.size()) {
    for (size_t n = 0; n < graph_.nodes.size(); ++n) {
      const Node& node = graph_.nodes[n];
      for (TensorId t : node.inputs) {
        if (t == kNoTensor) continue;
        if (node.phase == Phase::forward) readers_[at(t)].push_back(static_cast<int32_t>(n));
        if (node.phase == Phase::backward) kept_[at(t)] = true;
      }
      if (node.phase != Phase::forward) continue;
      for (TensorId t : node.outputs) {
        if (t != kNoTensor) producer_[at(t)] = static_cast<int32_t>(n);
      }
    }
    for (size_t t = 0; t < kept_.size(); ++t) {
      if (producer_[t] < 0) kept_[t] = is_persistent(graph_.tensors[t].role);
    }
  }

  void run() {
    for (size_t n = graph_.nodes.size(); n-- > 0;) {
      const Node& node = graph_.nodes[n];
      if (node.phase != Phase::forward || node.region > 0) continue;
      const auto& invert = find_op(node.op).inverse;
      for (size_t i = 0; invert && i < node.inputs.size(); ++i) {
        const TensorId t = node.inputs[i];
        if (t == kNoTensor || !may_be_dropped(t)) continue;
        Inverse inverse = invert(graph_, node, i);
        if (!inverse.node) {
          if (refusal_.empty()) refusal_ = inverse.refusal;
          continue;
        }
        if (snr_db_ == kSumsAlone && !is_sum(node)) continue;
        const bool dropped = drop(t, inverting(static_cast<int32_t>(n), i, std::move(inverse)));
        if (dropped && ways_.at(t).loss_db == 0) drop_branch(node, i);
      }
    }
  }

  const Ways& ways() const { return ways_; }
  const std::string& refusal() const { return refusal_; }
  // Of the noisiest tensor that is rebuilt; infinite where nothing divides.
  double least_snr_db() const {
    double most = 0;
    std::map<TensorId, double> known;
    for (const auto& [rebuilt, way] : ways_) most = std::max(most, loss_of(rebuilt, known));
    return most > 0 ? kFloatSnrDb - most : std::numeric_limits<double>::infinity();
  }

 private:
  // Its result cannot be made again from one kept tensor.
  bool is_sum(const Node& node) const {
    return std::count_if(node.inputs.begin(), node.inputs.end(), [&](TensorId t) {
             return t != kNoTensor && graph_.tensor(t).role == Role::activation;
           }) > 1;
  }

  bool may_be_dropped(TensorId t) const {
    const Tensor& tensor = graph_.tensor(t);
    const int32_t n = producer_[at(t)];
    return kept_[at(t)] && n >= 0 && graph_.nodes[at(n)].region == 0 &&
           tensor.role == Role::activation && tensor.type == ElementType::f32;
  }

  // Keeps `t` no longer, if everything can still be had.
  bool drop(TensorId t, const Way& way) {
    const Ways before = ways_;
    kept_[at(t)] = false;
    std::set<TensorId> trying = {t};
    bool ok = supply_inputs(way, trying);
    ways_[t] = way;
    // Also where any will do: infinitely much is lost of what is made from itself.
    const double least = snr_db_ == kAnySnr      ? -std::numeric_limits<double>::max()
                         : snr_db_ == kSumsAlone ? kUsualSnrDb
                                                 : static_cast<double>(snr_db_);
    ok = ok && least_snr_db() >= least;
    if (ok) return true;
    ways_ = before;
    kept_[at(t)] = true;
    return false;
  }

  // The other term of a sum that was inverted runs again before the inverse and is differentiated
  // behind it: then it need not be kept either, if that holds for all of it.
  void drop_branch(const Node& sum, size_t input) {
    const Ways before = ways_;
    const std::vector<bool> kept_before = kept_;
    bool ok = true;
    std::vector<TensorId> todo;
    for (size_t i = 0; i < sum.inputs.size(); ++i) {
      if (i != input && sum.inputs[i] != kNoTensor) todo.push_back(sum.inputs[i]);
    }
    bool dear = false;
    while (ok && !todo.empty()) {
      const TensorId t = todo.back();
      todo.pop_back();
      const int32_t n = producer_[at(t)];
      // Where the branch begins, others read too.
      if (n < 0 || readers_[at(t)].size() != 1) continue;
      const Node& node = graph_.nodes[at(n)];
      dear = dear || !is_cheap(graph_, node);
      if (kept_[at(t)] && may_be_dropped(t)) ok = drop(t, running_again(n));
      for (TensorId in : node.inputs) {
        if (in != kNoTensor) todo.push_back(in);
      }
    }
    if (ok && dear) return;
    ways_ = before;
    kept_ = kept_before;
  }

  Way running_again(int32_t n) const {
    return with_reads({n, 0, true, 0}, run_again(graph_.nodes[at(n)]));
  }

  static Way inverting(int32_t n, size_t input, Inverse inverse) {
    return with_reads({n, input, false, inverse.loss_db}, *inverse.node);
  }

  static Way with_reads(Way way, const Node& node) {
    std::copy_if(node.inputs.begin(), node.inputs.end(), std::back_inserter(way.reads),
                 [](TensorId t) { return t != kNoTensor; });
    return way;
  }

  bool supply_inputs(const Way& way, std::set<TensorId>& trying) {
    return std::all_of(way.reads.begin(), way.reads.end(),
                       [&](TensorId t) { return supply(t, trying); });
  }

  // Finds a way to have `t`, kept or not, that needs nothing of what is being made. Cheap ones
  // first.
  bool supply(TensorId t, std::set<TensorId>& trying) {
    if (kept_[at(t)]) return true;
    std::set<TensorId> seen;
    if (ways_.contains(t)) return !needs(t, trying, seen);
    const int32_t producer = producer_[at(t)];
    if (producer < 0 || graph_.nodes[at(producer)].region > 0) return false;
    if (!trying.insert(t).second) return false;
    std::vector<Way> possible;
    const bool cheap = is_cheap(graph_, graph_.nodes[at(producer)]);
    if (cheap) possible.push_back(running_again(producer));
    for (int32_t reader : readers_[at(t)]) {
      const Node& node = graph_.nodes[at(reader)];
      const auto& invert = find_op(node.op).inverse;
      for (size_t i = 0; invert && node.region == 0 && i < node.inputs.size(); ++i) {
        if (node.inputs[i] != t) continue;
        Inverse inverse = invert(graph_, node, i);
        if (inverse.node) possible.push_back(inverting(reader, i, std::move(inverse)));
      }
    }
    if (!cheap) possible.push_back(running_again(producer));
    for (const Way& way : possible) {
      const Ways before = ways_;
      if (supply_inputs(way, trying)) {
        ways_[t] = way;
        trying.erase(t);
        return true;
      }
      ways_ = before;
    }
    trying.erase(t);
    return false;
  }

  bool needs(TensorId t, const std::set<TensorId>& any, std::set<TensorId>& seen) const {
    if (any.contains(t)) return true;
    const auto it = ways_.find(t);
    if (it == ways_.end() || !seen.insert(t).second) return false;
    return std::any_of(it->second.reads.begin(), it->second.reads.end(),
                       [&](TensorId in) { return needs(in, any, seen); });
  }

  // How many dB are lost on the way from kept tensors; infinitely many when it reads what is made
  // from it. `known` has those that were asked for before, and infinity for those that are being
  // asked for.
  double loss_of(TensorId t, std::map<TensorId, double>& known) const {
    const auto way = ways_.find(t);
    if (way == ways_.end()) return 0;
    const auto [it, fresh] = known.try_emplace(t, std::numeric_limits<double>::infinity());
    if (!fresh) return it->second;
    double most = 0;
    for (TensorId in : way->second.reads) most = std::max(most, loss_of(in, known));
    return it->second = most + way->second.loss_db;
  }

  const Graph& graph_;
  const int64_t snr_db_;
  std::vector<int32_t> producer_;              // by tensor: its forward node
  std::vector<std::vector<int32_t>> readers_;  // by tensor: forward nodes
  std::vector<bool> kept_;                     // by tensor: there in the backward pass
  Ways ways_;                                  // by tensor that is not kept
  std::string refusal_;
};

class Rebuilder {
 public:
  Rebuilder(const Graph& from, const Ways& ways) : from_(from), ways_(ways) {
    to_.name = from.name;
    to_.tensors = from.tensors;
    to_.microbatches = from.microbatches;
  }

  Graph run() {
    for (const Node& from : from_.nodes) {
      Node node = from;
      if (node.phase == Phase::backward) {
        for (TensorId& t : node.inputs) t = needed(t, node.gradient_of);
        read_mask(node);
      }
      to_.nodes.push_back(std::move(node));
    }
    for (const auto& [forward, mask] : masks_) {
      // Forward need not keep its own.
      const size_t port = port_of(find_op(to_.nodes[at(forward)].op).outputs, "mask");
      to_.nodes[at(forward)].outputs[port] = kNoTensor;
    }
    verify(to_);
    return std::move(to_);
  }

 private:
  // The tensor as the backward pass has it. What makes it stands with the gradients of the forward
  // node `of`.
  TensorId needed(TensorId t, int32_t of) {
    const auto way = ways_.find(t);
    if (way == ways_.end()) return t;
    const auto [rebuilt, fresh] = rebuilt_.try_emplace(t, kNoTensor);
    if (!fresh) return rebuilt->second;
    const Node& forward = from_.nodes[at(way->second.node)];
    Node node = way->second.again ? run_again(forward) : inverse_of(forward, way->second.input);
    for (TensorId& in : node.inputs) in = needed(in, of);
    node.phase = Phase::backward;
    node.gradient_of = of;
    if (way->second.again) {
      for (TensorId& out : node.outputs) out = out == kNoTensor ? out : (rebuilt_[out] = copy(out));
    } else {
      node.outputs = {copy(t)};
      rebuilt_[t] = node.outputs[0];
      make_mask(node, way->second.node);
    }
    to_.nodes.push_back(std::move(node));
    return rebuilt_.at(t);
  }

  Node inverse_of(const Node& forward, size_t input) const {
    Node node = *find_op(forward.op).inverse(from_, forward, input).node;
    node.updates.clear();
    return node;
  }

  TensorId copy(TensorId t) {
    Tensor fresh = from_.tensor(t);
    fresh.name += kRebuilt;
    return to_.add_tensor(std::move(fresh));
  }

  static size_t port_of(const std::vector<Port>& ports, const std::string& name) {
    const auto it =
        std::find_if(ports.begin(), ports.end(), [&](const Port& p) { return p.name == name; });
    return static_cast<size_t>(it - ports.begin());
  }

  // The rebuilt tensor has been rounded: what an activation let through is asked of its output.
  void make_mask(Node& inverse, int32_t forward) {
    const OpDef& def = find_op(inverse.op);
    const size_t port = port_of(def.outputs, "mask");
    if (port == def.outputs.size()) return;
    const std::vector<TensorSpec> specs = def.infer(shapes_of(to_, inverse));
    if (specs[port].shape.rank() == 0) return;
    inverse.outputs.resize(port + 1, kNoTensor);
    inverse.outputs[port] = to_.add_tensor({str_cat(inverse.name, ".mask", kRebuilt),
                                            specs[port].shape,
                                            specs[port].type.value_or(ElementType::u8),
                                            Role::activation,
                                            {},
                                            false});
    masks_[forward] = inverse.outputs[port];
  }

  void read_mask(Node& node) const {
    const auto mask = masks_.find(node.gradient_of);
    if (mask == masks_.end()) return;
    const std::vector<Port>& ports = find_op(node.op).inputs;
    const size_t port = port_of(ports, "mask");
    if (port == ports.size()) return;
    node.inputs.resize(std::max(node.inputs.size(), port + 1), kNoTensor);
    node.inputs[port] = mask->second;
    // What told it otherwise.
    if (const size_t dst = port_of(ports, "dst"); dst < node.inputs.size()) {
      node.inputs[dst] = kNoTensor;
    }
  }

  const Graph& from_;
  const Ways& ways_;
  Graph to_;
  std::map<TensorId, TensorId> rebuilt_;  // by tensor that forward made
  std::map<int32_t, TensorId> masks_;     // by forward node
};

}  // namespace

Rewrite invert(const Graph& training, int64_t snr_db) {
  Choice choice(training, snr_db);
  choice.run();
  if (choice.ways().empty()) {
    return {std::nullopt, choice.refusal().empty()
                              ? "no saved tensor follows from tensors that lie behind it"
                              : choice.refusal()};
  }
  return {Rebuilder(training, choice.ways()).run(), "", choice.least_snr_db()};
}

const Technique& technique_invert() {
  static const Technique technique = {
      .name = "invert",
      .summary = "Inputs of invertible layers are had again from their outputs, not kept",
      .paper = "In-Place ABN, arXiv 1712.02616; RevNet, 1707.04585; reversible designs, 1910.11127",
      .stage = Technique::Stage::training,
      .promise = [](const Graph&) { return Promise::same_math; },
      .options = {kUsualSnrDb, kSumsAlone},
      .by_snr = true,
      .apply = invert,
      .describe = [](int64_t option) -> std::string {
        if (option == kSumsAlone) return "invert: sums";
        return option == kAnySnr ? "invert: all" : str_cat("invert: down to ", option, " dB");
      }};
  return technique;
}

}  // namespace thimble
