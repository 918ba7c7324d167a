#include "transforms/invert.h"

#include <algorithm>
#include <limits>
#include <map>
#include <set>

#include "ops/core/builder.h"
#include "transforms/core/again.h"
#include "transforms/core/ways.h"

namespace thimble {
namespace {

size_t at(int32_t id) { return static_cast<size_t>(id); }

class Rebuilder {
 public:
  Rebuilder(const Graph& from, const Ways& ways)
      : from_(from), ways_(ways), next_(static_cast<int32_t>(from.nodes.size())) {
    to_.name = from.name;
    to_.tensors = from.tensors;
    to_.microbatches = from.microbatches;
    copies_.resize(ways.branches.size());
    for (const auto& [t, way] : ways.of) {
      if (!way.again) inverted_at_[way.node].push_back(t);
    }
    for (const RebuiltBranch& branch : ways.branches) {
      for (const auto& [t, way] : branch.after) inverted_at_[way.node].push_back(t);
    }
  }

  Graph run() {
    for (const Node& from : from_.nodes) {
      Node node = from;
      if (node.phase == Phase::backward) {
        if (node.gradient_of >= 0) invert_behind(node.gradient_of);
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
  // All that reads what a layer made stands behind it, and its gradients come first: where they
  // are done, the layer's input may take the place of its output.
  void invert_behind(int32_t n) {
    for (; next_ > n + 1; --next_) {
      const int32_t node = next_ - 1;
      if (const auto it = inverted_at_.find(node); it != inverted_at_.end()) {
        for (TensorId t : it->second) needed(t, node);
      }
      for (const RebuiltBranch& branch : ways_.branches) {
        if (branch.sums.back() == node) leave_entries(branch, node);
      }
    }
  }

  // From here on they come from inside: all that needs them as they were is made first.
  void leave_entries(const RebuiltBranch& branch, int32_t of) {
    if (branch.after.empty()) return;
    for (int32_t sum : branch.sums) needed(from_.nodes[at(sum)].inputs[1], of);
    for (const auto& [t, way] : branch.after) {
      left_[t] = &way;
      rebuilt_.erase(t);
    }
  }

  const Way* way_to(TensorId t) const {
    if (const auto it = left_.find(t); it != left_.end()) return it->second;
    const auto it = ways_.of.find(t);
    return it == ways_.of.end() ? nullptr : &it->second;
  }

  // The tensor as the backward pass has it. What makes it stands with the gradients of the forward
  // node `of`.
  TensorId needed(TensorId t, int32_t of) {
    const Way* way = way_to(t);
    if (way == nullptr) return t;
    const auto [rebuilt, fresh] = rebuilt_.try_emplace(t, kNoTensor);
    ensure(fresh || rebuilt->second != kNoTensor, from_.tensor(t).name, " is made from itself");
    if (!fresh) return rebuilt->second;
    if (way->branch != kNoBranch) return rebuilt_[t] = run_branch(*way, t, of);
    const Node& forward = from_.nodes[at(way->node)];
    Node node = way->again ? run_again(forward) : inverse_of(forward, way->input);
    for (TensorId& in : node.inputs) in = needed(in, of);
    node.phase = Phase::backward;
    node.gradient_of = of;
    if (way->again) {
      for (TensorId& out : node.outputs) out = out == kNoTensor ? out : (rebuilt_[out] = copy(out));
    } else {
      node.outputs = {copy(t)};
      rebuilt_[t] = node.outputs[0];
      make_mask(node, way->node);
    }
    to_.nodes.push_back(std::move(node));
    return rebuilt_.at(t);
  }

  // Once more up to `t`; nobody else sees what is made on the way.
  TensorId run_branch(const Way& way, TensorId t, int32_t of) {
    const RebuiltBranch& branch = ways_.branches[at(way.branch)];
    std::map<TensorId, TensorId>& copies = copies_[at(way.branch)];
    std::set<int32_t> wanted = {way.node};
    for (auto n = branch.nodes.rbegin(); n != branch.nodes.rend(); ++n) {
      if (!wanted.contains(*n)) continue;
      for (TensorId in : from_.nodes[at(*n)].inputs) {
        for (int32_t m : branch.nodes) {
          if (in != kNoTensor && makes(m, in)) wanted.insert(m);
        }
      }
    }
    for (int32_t n : branch.nodes) {
      if (!wanted.contains(n) || copies.contains(from_.nodes[at(n)].outputs[0])) continue;
      Node node = run_again(from_.nodes[at(n)]);
      for (TensorId& in : node.inputs) {
        const auto made = copies.find(in);
        in = made != copies.end() ? made->second : needed(in, of);
      }
      for (TensorId& out : node.outputs) {
        if (out != kNoTensor) out = copies[out] = copy(out);
      }
      node.gradient_of = of;
      to_.nodes.push_back(std::move(node));
    }
    return copies.at(t);
  }

  bool makes(int32_t n, TensorId t) const {
    const std::vector<TensorId>& made = from_.nodes[at(n)].outputs;
    return std::find(made.begin(), made.end(), t) != made.end();
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
  int32_t next_;  // forward nodes from here on have been inverted
  Graph to_;
  std::map<int32_t, std::vector<TensorId>> inverted_at_;  // by forward node: inputs
  std::map<TensorId, const Way*> left_;                   // entries that are had from inside
  std::map<TensorId, TensorId> rebuilt_;                  // by tensor that forward made
  std::vector<std::map<TensorId, TensorId>> copies_;      // the same, by branch: inside of it
  std::map<int32_t, TensorId> masks_;                     // by forward node
};

// Options are a least ratio plus this for each step of `Inside`.
constexpr int64_t kInsides = 10000;

struct Parts {
  int64_t snr_db;
  Inside inside;
};
Parts parts_of(int64_t option) {
  return {option % kInsides, static_cast<Inside>(option / kInsides)};
}

bool is_no_ratio(int64_t snr_db) { return snr_db == kSumsAlone || snr_db == kExact; }

}  // namespace

Ways ways_of(const Graph& training, int64_t option) {
  const auto [snr_db, inside] = parts_of(option);
  constexpr double kEndless = std::numeric_limits<double>::infinity();
  WaysWanted wanted = {static_cast<double>(snr_db), is_no_ratio(snr_db), inside};
  if (snr_db == kAnySnr) wanted.least_snr_db = -kEndless;
  if (snr_db == kSumsAlone) wanted.least_snr_db = kUsualSnrDb;
  if (snr_db == kExact) wanted.least_snr_db = kEndless;
  return choose_ways(training, wanted);
}

Rewrite invert(const Graph& training, int64_t option) {
  const Inside inside = parts_of(option).inside;
  const Ways ways = ways_of(training, option);
  if (inside != Inside::again && ways.branches.empty()) {
    return {std::nullopt, "no coupling's branch has layers that can be inverted"};
  }
  if (ways.of.empty()) {
    return {std::nullopt, ways.refusal.empty()
                              ? "no saved tensor follows from tensors that lie behind it"
                              : ways.refusal};
  }
  return {Rebuilder(training, ways).run(), "", ways.least_snr_db};
}

int64_t invert_option(int64_t snr_db, Inside inside) {
  return snr_db + kInsides * static_cast<int64_t>(inside);
}

int64_t with_snr_db(int64_t option, int64_t snr_db) {
  const auto [usual, inside] = parts_of(option);
  return is_no_ratio(usual) ? option : invert_option(snr_db, inside);
}

const Technique& technique_invert() {
  static const Technique technique = {
      .name = "invert",
      .summary = "Inputs of invertible layers are had again from their outputs, not kept",
      .paper = "In-Place ABN, arXiv 1712.02616; RevNet, 1707.04585; reversible designs, 1910.11127",
      .stage = Technique::Stage::training,
      .promise = [](const Graph&) { return Promise::same_math; },
      .options = {kUsualSnrDb, invert_option(kUsualSnrDb, Inside::inverted),
                  invert_option(kUsualSnrDb, Inside::with_entry), kExact, kSumsAlone},
      .with_snr_db = with_snr_db,
      .apply = invert,
      .describe = [](int64_t option) -> std::string {
        const auto [snr_db, inside] = parts_of(option);
        if (snr_db == kSumsAlone) return "invert: sums";
        if (snr_db == kExact) return "invert: to the bit";
        std::string text =
            snr_db == kAnySnr ? "invert: all" : str_cat("invert: down to ", snr_db, " dB");
        if (inside != Inside::again) text += ", branches from their ends";
        if (inside == Inside::with_entry) text += " to their beginnings";
        return text;
      }};
  return technique;
}

}  // namespace thimble
