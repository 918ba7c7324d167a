#include "support/exact_solver.h"

#include <algorithm>
#include <limits>
#include <map>
#include <queue>

#include "base/bytes.h"
#include "memory/plan.h"
#include "ops/core/builder.h"

namespace thimble {
namespace {

// Of the largest forward result: what is smaller is always kept.
constexpr int64_t kSmallest = 128;

size_t at(int32_t id) { return static_cast<size_t>(id); }

bool is_swappable(const Node& first, const Node& second) {
  return first.phase == Phase::backward && second.phase == Phase::backward &&
         first.name == second.name && first.op.ends_with("_backward_weights") &&
         second.op.ends_with("_backward_data");
}

}  // namespace

ExactSolver::ExactSolver(const Graph& training, const Machine& machine)
    : graph_(training), nodes_(training.nodes.size()) {
  add_sums();
  const Graph& g = graph_;
  bit_.assign(g.tensors.size(), -1);
  transient_.resize(g.tensors.size());
  readers_.resize(g.tensors.size());
  seconds_.resize(g.nodes.size());
  seconds_again_.resize(g.nodes.size());
  again_ = g.nodes;
  int64_t largest = 0;
  for (size_t t = 0; t < g.tensors.size(); ++t) {
    transient_[t] = !is_persistent(g.tensors[t].role);
    if (g.tensors[t].role == Role::activation) {
      largest = std::max(largest, bytes_of(static_cast<TensorId>(t)));
    }
    if (!transient_[t]) persistent_bytes_ += bytes_of(static_cast<TensorId>(t));
  }
  std::vector<size_t> order;
  for (size_t n = 0; n < g.nodes.size(); ++n) {
    const Node& node = g.nodes[n];
    seconds_[n] = predict_seconds(g, node, machine);
    if (node.phase != Phase::forward && node.phase != Phase::backward) {
      other_seconds_ += seconds_[n];
      continue;
    }
    if (n < nodes_) order.push_back(n);
    const OpDef& def = find_op(node.op);
    if (node.phase == Phase::forward) {
      if (def.replay) again_[n] = def.replay(node);
      again_[n].updates.clear();
      again_[n].phase = Phase::backward;
      seconds_again_[n] = predict_seconds(g, again_[n], machine);
      for (TensorId t : again_[n].outputs) {
        if (t == kNoTensor || !transient_[at(t)]) continue;
        if (kSmallest * bytes_of(t) <= largest) continue;
        bit_[at(t)] = static_cast<int>(bit_bytes_.size());
        bit_bytes_.push_back(bytes_of(t));
      }
    } else if (n < nodes_) {
      for (TensorId t : node.inputs) {
        if (t != kNoTensor) readers_[at(t)].push_back(n);
      }
    }
  }
  ensure(bit_bytes_.size() <= 16, "too many forward results: ", bit_bytes_.size());
  for (const Node& node : g.nodes) {
    if (node.phase != Phase::update) continue;
    // The gradient waits for the readers of its weight.
    auto& readers = readers_[at(node.inputs[1])];
    const auto& of_weight = readers_[at(node.inputs[0])];
    readers.insert(readers.end(), of_weight.begin(), of_weight.end());
  }
  add_positions(order);
}

// Behind the graph's own nodes: the sum of two gradients, and its reader as it then runs.
void ExactSolver::add_sums() {
  for (size_t n = 0; n < nodes_; ++n) {
    const Node node = graph_.nodes[n];
    const auto [a, b] = find_op(node.op).summed_inputs;
    if (a == b || node.inputs[b] == kNoTensor) continue;
    Sum sum{n, graph_.nodes.size(), 0, kNoTensor, {node.inputs[a], node.inputs[b]}};
    sum.result =
        append_node(graph_, Phase::backward, "add", node.name, {sum.parts[0], sum.parts[1]})[0];
    sum.reader = graph_.nodes.size();
    graph_.nodes.push_back(node);
    graph_.nodes.back().inputs[a] = sum.result;
    graph_.nodes.back().inputs[b] = kNoTensor;
    graph_.nodes.back().gradient_of = -1;
    sums_.push_back(sum);
  }
}

// All sets of nodes that may have run for the first time, and how one leads to another.
void ExactSolver::add_positions(const std::vector<size_t>& order) {
  std::map<std::vector<bool>, int32_t> known;
  const auto position_of = [&](const std::vector<bool>& done) {
    const auto [it, fresh] = known.try_emplace(done, static_cast<int32_t>(positions_.size()));
    if (fresh) add_position(done);
    return it->second;
  };
  position_of(std::vector<bool>(graph_.nodes.size()));
  for (size_t p = 0; p < positions_.size(); ++p) {
    const std::vector<bool> done = positions_[p].done;
    const auto lead = [&](size_t node, size_t run) {
      std::vector<bool> after = done;
      after[node] = true;
      const int32_t to = position_of(after);
      positions_[p].next.emplace_back(static_cast<int32_t>(run), to);
    };
    const auto run_first = [&](size_t n) {
      for (const Sum& s : sums_) {
        if (s.of == n && done[s.node]) return lead(n, s.reader);
      }
      lead(n, n);
    };
    const auto first = std::find_if(order.begin(), order.end(), [&](size_t n) { return !done[n]; });
    if (first == order.end()) continue;
    run_first(*first);
    const auto second = first + 1;
    if (second != order.end() && !done[*second] &&
        is_swappable(graph_.nodes[*first], graph_.nodes[*second])) {
      run_first(*second);
    }
    for (const Sum& s : sums_) {
      if (done[s.node] || done[s.of]) continue;
      if (positions_[p].live[at(s.parts[0])] && positions_[p].live[at(s.parts[1])]) {
        lead(s.node, s.node);
      }
    }
  }
}

int64_t ExactSolver::bytes_of(TensorId t) const {
  const Tensor& tensor = graph_.tensor(t);
  return round_up(tensor.shape.elements() * element_bytes(tensor.type), kAlignment);
}

int64_t ExactSolver::bytes_of(Mask mask) const {
  int64_t bytes = 0;
  for (size_t b = 0; b < bit_bytes_.size(); ++b) bytes += (mask >> b & 1) != 0 ? bit_bytes_[b] : 0;
  return bytes;
}

void ExactSolver::add_position(const std::vector<bool>& done) {
  Position p;
  p.done = done;
  p.live.resize(graph_.tensors.size());
  const auto add = [&](TensorId t, bool live) {
    p.live[at(t)] = live;
    if (live) p.bytes += bytes_of(t);
  };
  for (size_t n = 0; n < nodes_; ++n) {
    if (!done[n]) continue;
    for (TensorId t : graph_.nodes[n].outputs) {
      if (t == kNoTensor || !transient_[at(t)] || bit_[at(t)] >= 0) continue;
      const auto& readers = readers_[at(t)];
      add(t, std::any_of(readers.begin(), readers.end(),
                         [&](size_t r) { return !done[r] && !is_summed(t, r, done); }));
    }
  }
  for (const Sum& s : sums_) {
    if (done[s.node]) add(s.result, !done[s.of]);
  }
  positions_.push_back(std::move(p));
}

// True when this reader reads a sum instead.
bool ExactSolver::is_summed(TensorId t, size_t reader, const std::vector<bool>& done) const {
  return std::any_of(sums_.begin(), sums_.end(), [&](const Sum& s) {
    return s.of == reader && done[s.node] && (s.parts[0] == t || s.parts[1] == t);
  });
}

// Not before its first run, not once its own gradients are there (its weights may be new), and not
// the end of the network, which reports to the training loop.
bool ExactSolver::may_run_again(size_t n, const Position& p) const {
  if (n >= nodes_ || graph_.nodes[n].phase != Phase::forward || !p.done[n]) return false;
  for (TensorId t : again_[n].outputs) {
    if (t != kNoTensor && bit_[at(t)] < 0) return false;
  }
  for (size_t b = 0; b < graph_.nodes.size(); ++b) {
    if (graph_.nodes[b].gradient_of == static_cast<int32_t>(n) && !p.done[b]) return true;
  }
  return false;
}

ExactSolver::Mask ExactSolver::inputs_of(const Node& node) const {
  Mask mask = 0;
  for (TensorId t : node.inputs) {
    if (t != kNoTensor && bit_[at(t)] >= 0) mask |= Mask{1} << bit_[at(t)];
  }
  return mask;
}

ExactSolver::Edge ExactSolver::edge(const Node& node, const Position& from, const Position& to,
                                    Mask mask, Mask dropped) const {
  Edge e{from.bytes + bytes_of(mask) + round_up(4 * scratch_scalars_of(graph_, node), kAlignment),
         mask & ~dropped};
  std::vector<TensorId> given_away;
  const auto ends_here = [&](TensorId t) {
    if (t == kNoTensor || !transient_[at(t)]) return false;
    if (std::find(given_away.begin(), given_away.end(), t) != given_away.end()) return false;
    return bit_[at(t)] >= 0 ? (dropped >> bit_[at(t)] & 1) != 0
                            : from.live[at(t)] && !to.live[at(t)];
  };
  const auto size = [&](TensorId t) {
    return graph_.tensor(t).shape.elements() * element_bytes(graph_.tensor(t).type);
  };
  for (size_t k = 0; k < node.outputs.size(); ++k) {
    const TensorId out = node.outputs[k];
    if (out == kNoTensor || !transient_[at(out)]) continue;
    bool in_place = false;
    for (const InPlacePair& pair : find_op(node.op).in_place) {
      if (pair.output != k || pair.input >= node.inputs.size() || in_place) continue;
      const TensorId in = node.inputs[pair.input];
      in_place = ends_here(in) && size(in) == size(out);
      if (in_place) given_away.push_back(in);
    }
    if (!in_place) e.bytes += bytes_of(out);
    if (bit_[at(out)] >= 0) e.after |= Mask{1} << bit_[at(out)];
  }
  return e;
}

std::optional<ExactSchedule> ExactSolver::fastest(int64_t arena_bytes) const {
  const int64_t budget = arena_bytes - persistent_bytes_;
  const size_t masks = size_t{1} << bit_bytes_.size();
  struct Reached {
    double seconds = std::numeric_limits<double>::infinity();
    size_t from = 0;
    int32_t node = -1;  // -1: something was dropped
    bool again = false;
  };
  std::vector<Reached> reached(positions_.size() * masks);
  using Entry = std::pair<double, size_t>;
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> queue;
  const auto reach = [&](size_t state, Reached r) {
    if (r.seconds >= reached[state].seconds) return;
    reached[state] = r;
    queue.emplace(r.seconds, state);
  };
  reach(0, {other_seconds_, 0, -1, false});
  size_t end = reached.size();
  while (!queue.empty()) {
    const auto [seconds, state] = queue.top();
    queue.pop();
    if (seconds > reached[state].seconds) continue;
    const size_t place = state / masks;
    const auto mask = static_cast<Mask>(state % masks);
    const Position& here = positions_[place];
    if (here.next.empty()) {
      end = state;
      break;
    }
    for (size_t b = 0; b < bit_bytes_.size(); ++b) {
      if ((mask >> b & 1) != 0) reach(state & ~(size_t{1} << b), {seconds, state, -1, false});
    }
    const auto run = [&](size_t n, const Node& node, size_t to, bool again) {
      const Mask inputs = inputs_of(node);
      if ((inputs & mask) != inputs) return;
      for (Mask dropped = inputs;; dropped = (dropped - 1) & inputs) {
        const Edge e = edge(node, here, positions_[to], mask, dropped);
        const double more = again ? seconds_again_[n] : seconds_[n];
        if (e.bytes <= budget) {
          reach(to * masks + e.after, {seconds + more, state, static_cast<int32_t>(n), again});
        }
        if (dropped == 0) break;
      }
    };
    for (const auto& [n, to] : here.next) run(at(n), graph_.nodes[at(n)], at(to), false);
    for (size_t n = 0; n < graph_.nodes.size(); ++n) {
      if (may_run_again(n, here)) run(n, again_[n], place, true);
    }
  }
  if (end == reached.size()) return std::nullopt;
  ExactSchedule schedule{reached[end].seconds, {}};
  for (size_t s = end; s != 0; s = reached[s].from) {
    if (reached[s].node >= 0) schedule.runs.push_back({reached[s].node, reached[s].again});
  }
  std::reverse(schedule.runs.begin(), schedule.runs.end());
  return schedule;
}

Graph ExactSolver::graph_of(const ExactSchedule& schedule) const {
  Graph g;
  g.name = graph_.name;
  g.tensors = graph_.tensors;
  std::vector<TensorId> newest(graph_.tensors.size());
  for (size_t t = 0; t < newest.size(); ++t) newest[t] = static_cast<TensorId>(t);
  for (const ExactSchedule::Run& r : schedule.runs) {
    Node node = r.again ? again_[at(r.node)] : graph_.nodes[at(r.node)];
    for (TensorId& t : node.inputs) t = t == kNoTensor ? t : newest[at(t)];
    for (TensorId& t : node.outputs) {
      if (t == kNoTensor || !r.again) continue;
      Tensor copy = graph_.tensor(t);
      copy.name += " again";
      const TensorId fresh = g.add_tensor(std::move(copy));
      newest[at(t)] = fresh;
      t = fresh;
    }
    node.gradient_of = -1;
    g.nodes.push_back(std::move(node));
  }
  for (const Node& node : graph_.nodes) {
    if (node.phase == Phase::update) g.nodes.push_back(node);
  }
  verify(g);
  return g;
}

}  // namespace thimble
