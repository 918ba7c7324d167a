#include "transforms/compress_saved.h"

#include <algorithm>
#include <map>
#include <set>

#include "ops/core/builder.h"
#include "transforms/core/again.h"
#include "transforms/core/technique.h"

namespace thimble {
namespace {

// Statistics and logits are not worth two steps.
constexpr int64_t kSmallestBytes = 16 << 10;
// Between its last forward and first backward reader a tensor that waits for no more nodes than
// this would only get a second copy.
constexpr size_t kShortestWait = 4;
// Readers that stand no further apart share what was decoded.
constexpr size_t kSharingDistance = 3;

// How a tensor that may be compressed is used; nodes as places in the graph.
struct Use {
  size_t made = 0;
  size_t last_forward = 0;  // its producer, when no forward node reads it
  std::vector<size_t> backward;
};

// FNV-1a: the same name draws the same bits in every plan.
int64_t layer_of(const std::string& name) {
  uint32_t hash = 2166136261u;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619u;
  return static_cast<int64_t>(hash & 0x7FFFFFFF);
}

bool worth_it(const Graph& graph, TensorId t, const Use& use) {
  const Tensor& tensor = graph.tensor(t);
  return tensor.role == Role::activation && tensor.type == ElementType::f32 &&
         tensor.shape.elements() * 4 >= kSmallestBytes && !use.backward.empty() &&
         use.backward.front() - use.last_forward > kShortestWait;
}

constexpr size_t kNoPort = SIZE_MAX;

size_t port_of(const std::vector<Port>& ports, const std::string& name) {
  const auto it =
      std::find_if(ports.begin(), ports.end(), [&](const Port& p) { return p.name == name; });
  return it == ports.end() ? kNoPort : static_cast<size_t>(it - ports.begin());
}

// In the order of tensors. Not what an inverse reads: it divides by slopes, and the error with it.
std::map<TensorId, Use> uses_of(const Graph& graph) {
  std::map<TensorId, Use> uses;
  std::set<TensorId> inverted;
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    const Node& node = graph.nodes[n];
    if (rebuilds(graph, node)) inverted.insert(node.inputs.begin(), node.inputs.end());
    for (TensorId t : node.inputs) {
      const auto it = uses.find(t);
      if (it == uses.end()) continue;
      if (node.phase == Phase::forward) {
        it->second.last_forward = n;
      } else if (it->second.backward.empty() || it->second.backward.back() != n) {
        it->second.backward.push_back(n);
      }
    }
    if (node.phase != Phase::forward) continue;
    for (TensorId t : node.outputs) {
      if (t != kNoTensor) uses[t] = {n, n, {}};
    }
  }
  std::erase_if(uses, [&](const auto& use) {
    return inverted.contains(use.first) || !worth_it(graph, use.first, use.second);
  });
  return uses;
}

class Compressor {
 public:
  Compressor(const Graph& from, int64_t bits)
      : from_(from), bits_(bits), uses_(uses_of(from)), counter_(from.find("counter")) {
    ensure(counter_ != kNoTensor, from.name, " counts no steps");
    to_.name = from.name;
    to_.tensors = from.tensors;
    to_.microbatches = from.microbatches;
  }

  Graph run() {
    if (uses_.empty()) return from_;
    for (const Node& node : from_.nodes) {
      if (node.phase == Phase::backward) find_gate(node);
      if (node.phase != Phase::forward) continue;
      for (TensorId t : node.outputs) {
        if (t != kNoTensor && !uses_.contains(t)) exact_.insert(t);
      }
    }
    for (size_t n = 0; n < from_.nodes.size(); ++n) {
      Node node = from_.nodes[n];
      if (node.phase == Phase::forward) make_mask(node);
      if (node.phase == Phase::backward) read_mask(node);
      // The last forward reader may still run in place of what it reads.
      for (auto& [t, use] : uses_) {
        if (use.last_forward == n && use.made != n) encode(t);
      }
      if (node.phase != Phase::forward) {
        for (TensorId& t : node.inputs) t = decoded(t, n);
      }
      node.gradient_of = -1;  // places have moved
      to_.nodes.push_back(std::move(node));
      for (auto& [t, use] : uses_) {
        if (use.last_forward == n && use.made == n) encode(t);
      }
    }
    verify(to_);
    return std::move(to_);
  }

 private:
  struct Waiting {
    TensorId codes = kNoTensor;
    TensorId decoded = kNoTensor;
    size_t last_reader = 0;
  };

  // A backward node that asks its approximate input what an activation let through: every wrong
  // answer costs the whole gradient of an element. One bit, kept by the forward node, tells.
  void find_gate(const Node& node) {
    if (!node.attributes.has("mask") || exact_.contains(node.inputs[0])) return;
    const size_t port = port_of(find_op(node.op).inputs, "mask");
    const bool has_mask = port < node.inputs.size() && node.inputs[port] != kNoTensor;
    if (port == kNoPort || has_mask) return;
    gates_[{node.name, node.op}] = kNoTensor;
  }

  void make_mask(Node& node) {
    const auto gate = gates_.find({node.name, node.op + "_backward"});
    if (gate == gates_.end()) return;
    Node masked = node;
    masked.attributes.set("mask", int64_t{2});
    const OpDef& def = find_op(node.op);
    const std::vector<TensorSpec> specs = def.infer(shapes_of(to_, masked));
    const size_t port = port_of(def.outputs, "mask");
    if (port == kNoPort || specs[port].shape.rank() == 0) return;  // it has no activation
    masked.outputs.resize(std::max(masked.outputs.size(), port + 1), kNoTensor);
    masked.outputs[port] = to_.add_tensor({str_cat(node.name, ".mask"),
                                           specs[port].shape,
                                           specs[port].type.value_or(ElementType::u8),
                                           Role::activation,
                                           {},
                                           false});
    gate->second = masked.outputs[port];
    node = std::move(masked);
  }

  void read_mask(Node& node) {
    const auto gate = gates_.find({node.name, node.op});
    if (gate == gates_.end() || gate->second == kNoTensor) return;
    const size_t port = port_of(find_op(node.op).inputs, "mask");
    node.inputs.resize(std::max(node.inputs.size(), port + 1), kNoTensor);
    node.inputs[port] = gate->second;
    // What told it otherwise.
    const size_t dst = port_of(find_op(node.op).inputs, "dst");
    if (dst < node.inputs.size()) node.inputs[dst] = kNoTensor;
  }

  const std::string& layer_name(TensorId t) const { return from_.nodes[uses_.at(t).made].name; }

  void encode(TensorId t) {
    waiting_[t].codes =
        append_node(to_, Phase::forward, "quantize", layer_name(t), {t, counter_},
                    {{"bits", bits_}, {"layer", layer_of(from_.tensor(t).name)}})[0];
    to_.tensor(waiting_[t].codes).name = str_cat(from_.tensor(t).name, " in ", bits_, " bits");
  }

  // What backward node `n` reads instead of `t`.
  TensorId decoded(TensorId t, size_t n) {
    const auto it = waiting_.find(t);
    if (it == waiting_.end()) return t;
    Waiting& w = it->second;
    if (w.decoded == kNoTensor || n - w.last_reader > kSharingDistance) {
      const Shape& shape = from_.tensor(t).shape;
      w.decoded = append_node(to_, Phase::backward, "dequantize", layer_name(t), {w.codes},
                              {{"bits", bits_}, {"shape", ints({shape.begin(), shape.end()})}})[0];
    }
    w.last_reader = n;
    return w.decoded;
  }

  const Graph& from_;
  const int64_t bits_;
  const std::map<TensorId, Use> uses_;
  const TensorId counter_;
  std::set<TensorId> exact_;  // made by forward, and not compressed
  std::map<TensorId, Waiting> waiting_;
  std::map<std::pair<std::string, std::string>, TensorId> gates_;  // by name and op: the mask
  Graph to_;
};

}  // namespace

Graph compress_saved(const Graph& training, int64_t bits) {
  return Compressor(training, bits).run();
}

Rewrite try_compress_saved(const Graph& training, int64_t bits) {
  Graph graph = compress_saved(training, bits);
  if (graph.nodes.size() == training.nodes.size()) {
    return {std::nullopt, "nothing that waits for the backward pass is worth compressing"};
  }
  return {std::move(graph), ""};
}

const Technique& technique_compress_saved() {
  static const Technique technique = {
      .name = "compress_saved",
      .summary = "What backward reads again waits in groups of 8 bits, rounded at random",
      .paper = "ActNN, arXiv 2104.14129",
      .stage = Technique::Stage::last,
      .allowance = "compress-saved",
      .accepts = "keep activations for the backward pass in 8 bits, rounded at random",
      .promise = [](const Graph&) { return Promise::approximate; },
      .apply = [](const Graph& training, int64_t) { return try_compress_saved(training, 8); }};
  return technique;
}

}  // namespace thimble
