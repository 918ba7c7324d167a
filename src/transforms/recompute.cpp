#include "transforms/recompute.h"

#include <algorithm>
#include <map>

#include "ops/core/builder.h"
#include "transforms/core/again.h"
#include "transforms/core/late_runs.h"
#include "transforms/core/technique.h"

namespace thimble {
namespace {

size_t at(int32_t id) { return static_cast<size_t>(id); }

// The last node of a band of rows puts them into the whole map: to make that again would take every
// band.
bool joins_band(const Graph& graph, const std::vector<int32_t>& forward, size_t i) {
  const Node& node = graph.nodes[at(forward[i])];
  if (node.band == 0 || i + 1 == forward.size()) return node.band > 0;
  const Node& next = graph.nodes[at(forward[i + 1])];
  return next.band != node.band || next.region != node.region;
}

bool is_activation(const Graph& graph, TensorId t) {
  return t != kNoTensor && is_forward_result(graph.tensor(t).role);
}

// Plays a plan and notes what runs.
class Unroller {
 public:
  Unroller(const Graph& training, const RecomputePlan& plan)
      : from_(training),
        plan_(plan),
        forward_(forward_nodes(training)),
        droppable_(droppable_tensors(training)),
        producer_(training.tensors.size(), -1),
        dropped_(training.tensors.size()),
        ran_(training.nodes.size()),
        made_(training.tensors.size()),
        summed_(training.nodes.size()),
        backward_of_(training.nodes.size()) {
    ensure(!plan.stage_begins.empty() && plan.stage_begins.back() == std::ssize(forward_),
           "the stages do not cover the forward pass of ", training.name);
    for (int32_t n : forward_) {
      for (TensorId t : training.nodes[at(n)].outputs) {
        if (t != kNoTensor) producer_[at(t)] = n;
      }
    }
    for (size_t n = 0; n < training.nodes.size(); ++n) {
      const int32_t of = training.nodes[n].gradient_of;
      if (of >= 0) backward_of_[at(of)].push_back(static_cast<int32_t>(n));
      const auto [a, b] = find_op(training.nodes[n].op).summed_inputs;
      if (a != b && training.nodes[n].inputs[b] != kNoTensor) summing_.push_back(n);
    }
  }

  Runs run() {
    for (size_t i = 0; i < plan_.actions.size(); ++i) {
      const RecomputePlan::Action& a = plan_.actions[i];
      if (!a.backward && i > 0 && plan_.actions[i - 1].backward) sum_gradients();
      if (a.backward) {
        run_backward(a.stage);
      } else {
        const auto rest = plan_.actions.begin() + static_cast<std::ptrdiff_t>(i) + 1;
        run_forward(a.stage, std::find(rest, plan_.actions.end(), a) == plan_.actions.end());
      }
    }
    return std::move(runs_);
  }

 private:
  // `last`: what it makes is for the backward pass; otherwise only for the stages behind it, and
  // what those read again is a checkpoint.
  void run_forward(int32_t stage, bool last) {
    for (int32_t i = plan_.stage_begins[at(stage)]; i < plan_.stage_begins[at(stage) + 1]; ++i) {
      const int32_t n = forward_[at(i)];
      runs_.push_back({ran_[at(n)] ? Run::Kind::again : Run::Kind::first, n});
      ran_[at(n)] = true;
      for (TensorId t : from_.nodes[at(n)].outputs) {
        if (t != kNoTensor) dropped_[at(t)] = last && plan_.lean[at(stage)] && droppable_[at(t)];
      }
    }
  }

  void run_backward(int32_t stage) {
    const int32_t begin = plan_.stage_begins[at(stage)];
    for (int32_t end = plan_.stage_begins[at(stage) + 1]; end > begin;) {
      const int32_t first = first_of_band(begin, end);
      if (from_.nodes[at(forward_[at(first)])].band > 0) run_band_again(first, end);
      run_backward(first, end);
      end = first;
    }
  }

  // Of the forward nodes [begin, end), the first of those in the band of the last; `begin` when
  // that is in none.
  int32_t first_of_band(int32_t begin, int32_t end) const {
    const auto node = [&](int32_t i) -> const Node& { return from_.nodes[at(forward_[at(i)])]; };
    const Node& last = node(end - 1);
    if (last.band == 0) return begin;
    int32_t first = end - 1;
    while (first > begin && node(first - 1).band == last.band) --first;
    return first;
  }

  // Just before its gradients, and lean: the maps of one band are all that there ever is.
  void run_band_again(int32_t first, int32_t end) {
    for (int32_t i = first; i < end; ++i) {
      make_inputs(from_.nodes[at(forward_[at(i)])]);
      runs_.push_back({Run::Kind::again, forward_[at(i)]});
    }
    for (int32_t i = first; i < end; ++i) {
      for (TensorId t : from_.nodes[at(forward_[at(i)])].outputs) {
        if (t != kNoTensor) dropped_[at(t)] = droppable_[at(t)];
      }
    }
  }

  void run_backward(int32_t begin, int32_t end) {
    for (int32_t i = end; i-- > begin;) {
      for (int32_t n : backward_of_[at(forward_[at(i)])]) {
        const Node& node = from_.nodes[at(n)];
        ran_[at(n)] = true;
        for (TensorId t : node.outputs) {
          if (t != kNoTensor) made_[at(t)] = true;
        }
        make_inputs(node);
        runs_.push_back({Run::Kind::first, n});
      }
    }
  }

  // Two gradients that wait for their only reader while forward nodes run again: better one, unless
  // it would be rounded once more (the reader sums in float).
  void sum_gradients() {
    for (const size_t n : summing_) {
      const Node& node = from_.nodes[n];
      const auto [a, b] = find_op(node.op).summed_inputs;
      if (ran_[n] || summed_[n]) continue;
      if (!made_[at(node.inputs[a])] || !made_[at(node.inputs[b])]) continue;
      if (from_.tensor(node.inputs[a]).type == ElementType::bf16) continue;
      summed_[n] = true;
      runs_.push_back({Run::Kind::sum, static_cast<int32_t>(n)});
    }
  }

  // What was dropped is made again. What that is made from is kept.
  void make_inputs(const Node& node) {
    for (TensorId t : node.inputs) {
      if (t == kNoTensor || !dropped_[at(t)]) continue;
      dropped_[at(t)] = false;
      runs_.push_back({Run::Kind::again, producer_[at(t)]});
    }
  }

  const Graph& from_;
  const RecomputePlan& plan_;
  Runs runs_;
  std::vector<int32_t> forward_;
  std::vector<bool> droppable_;
  std::vector<int32_t> producer_;  // by tensor: its forward node
  std::vector<bool> dropped_;      // the newest version is not kept for the backward pass
  std::vector<bool> ran_;          // by node
  std::vector<bool> made_;         // by tensor: a gradient that is there
  std::vector<size_t> summing_;    // backward nodes that read two gradients as their sum
  std::vector<bool> summed_;       // by node: its gradients are one
  std::vector<std::vector<int32_t>> backward_of_;  // by forward node
};

// The graph of a list of runs.
class Rewriter {
 public:
  explicit Rewriter(const Graph& training)
      : from_(training), newest_(training.tensors.size()), copies_(training.tensors.size()) {
    to_.name = training.name;
    to_.tensors = training.tensors;
    to_.microbatches = training.microbatches;
    for (size_t t = 0; t < newest_.size(); ++t) newest_[t] = static_cast<TensorId>(t);
  }

  Graph run(const Runs& runs) {
    for (const Node& node : from_.nodes) {
      if (node.phase == Phase::prepare) to_.nodes.push_back(node);
    }
    for (const Run& r : runs) add(r);
    for (const Node& node : from_.nodes) {
      const bool placed = node.phase == Phase::prepare || node.phase == Phase::forward;
      if (!placed && node.gradient_of < 0) to_.nodes.push_back(node);
    }
    remove_unread();
    for (Node& node : to_.nodes) node.gradient_of = -1;
    verify(to_);
    return std::move(to_);
  }

 private:
  void add(const Run& r) {
    const Node& original = from_.nodes[at(r.node)];
    const auto [first, second] = find_op(original.op).summed_inputs;
    if (r.kind == Run::Kind::sum) {
      const std::vector<TensorId> both = {original.inputs[first], original.inputs[second]};
      summed_[r.node] = append_node(to_, Phase::backward, "add", original.name, both)[0];
      return;
    }
    Node node = r.kind == Run::Kind::again ? run_again(original) : original;
    if (const auto sum = summed_.find(r.node); sum != summed_.end()) {
      node.inputs[second] = kNoTensor;
      node.inputs[first] = sum->second;
    }
    for (TensorId& t : node.inputs) {
      if (t != kNoTensor && at(t) < newest_.size()) t = newest_[at(t)];
    }
    if (r.kind == Run::Kind::again) {
      for (TensorId& t : node.outputs) t = t == kNoTensor ? t : copy_of(t);
    }
    to_.nodes.push_back(std::move(node));
  }

  TensorId copy_of(TensorId t) {
    // Numbered here: to look each name up among thousands takes seconds for row bands.
    Tensor copy = from_.tensor(t);
    const int32_t times = ++copies_[at(t)];
    copy.name += kAgain;
    if (times > 1) copy.name += str_cat('#', times);
    newest_[at(t)] = static_cast<TensorId>(to_.tensors.size());
    to_.tensors.push_back(std::move(copy));
    return newest_[at(t)];
  }

  // The end of a segment that is run again is often already there.
  void remove_unread() {
    std::vector<bool> read(to_.tensors.size());
    std::vector<Node> kept;
    for (size_t n = to_.nodes.size(); n-- > 0;) {
      Node& node = to_.nodes[n];
      bool wanted = false;
      for (TensorId t : node.outputs) {
        wanted = wanted || (t != kNoTensor && (at(t) < from_.tensors.size() || read[at(t)]));
      }
      if (!wanted && node.updates.empty()) continue;
      for (TensorId t : node.inputs) {
        if (t != kNoTensor) read[at(t)] = true;
      }
      kept.push_back(std::move(node));
    }
    to_.nodes.assign(std::make_move_iterator(kept.rbegin()), std::make_move_iterator(kept.rend()));
  }

  const Graph& from_;
  Graph to_;
  std::vector<TensorId> newest_;        // by tensor of the original graph
  std::vector<int32_t> copies_;         // by tensor: runs of its node beside the first
  std::map<int32_t, TensorId> summed_;  // by backward node: the sum of two of its inputs
};

}  // namespace

std::vector<int32_t> forward_nodes(const Graph& graph) {
  std::vector<int32_t> nodes;
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    if (graph.nodes[n].phase == Phase::forward) nodes.push_back(static_cast<int32_t>(n));
  }
  return nodes;
}

std::vector<int32_t> cut_into_stages(const Graph& training) {
  const std::vector<int32_t> forward = forward_nodes(training);
  std::vector<int32_t> begins;
  for (size_t i = 0; i < forward.size(); ++i) {
    const Node& node = training.nodes[at(forward[i])];
    const int32_t before = i == 0 ? 0 : training.nodes[at(forward[i - 1])].region;
    const bool dear = node.region == 0 && !is_cheap(training, node);
    const bool begins_here = i == 0 || i + 1 == forward.size() || dear || node.region != before;
    if (begins_here) begins.push_back(static_cast<int32_t>(i));
  }
  begins.push_back(static_cast<int32_t>(forward.size()));
  return begins;
}

std::vector<bool> droppable_tensors(const Graph& training) {
  std::vector<bool> droppable(training.tensors.size());
  std::vector<bool> rebuilt_from(training.tensors.size());
  for (const Node& node : training.nodes) {
    if (!rebuilds(training, node)) continue;
    for (TensorId t : node.inputs) {
      if (t != kNoTensor) rebuilt_from[at(t)] = true;
    }
  }
  const std::vector<int32_t> forward = forward_nodes(training);
  for (size_t i = 0; i < forward.size(); ++i) {
    const Node& node = training.nodes[at(forward[i])];
    if (joins_band(training, forward, i)) continue;
    bool inputs_kept = true;
    for (TensorId t : node.inputs)
      inputs_kept = inputs_kept && (t == kNoTensor || !droppable[at(t)]);
    const TensorId main = node.outputs[0];
    // What an inverse reads stands for the inputs of the node that made it.
    if (rebuilt_from[at(main)]) continue;
    if (inputs_kept && is_activation(training, main) && is_cheap(training, node)) {
      droppable[at(main)] = true;
    }
  }
  return droppable;
}

Runs runs_of(const Graph& training, const RecomputePlan& plan) {
  return plan.runs.empty() ? late_runs(training, Unroller(training, plan).run()) : plan.runs;
}

Graph recompute(const Graph& training, const Runs& runs) { return Rewriter(training).run(runs); }

Graph recompute(const Graph& training, const RecomputePlan& plan) {
  return recompute(training, runs_of(training, plan));
}

const Technique& technique_recompute() {
  static const Technique technique = {
      .name = "recompute",
      .summary = "Parts of the forward pass run again instead of keeping what they made",
      .paper = "Training Deep Nets with Sublinear Memory Cost, arXiv 1604.06174; Rotor, 1911.13214",
      .promise = [](const Graph&) { return Promise::bit_exact; }};
  return technique;
}

}  // namespace thimble
