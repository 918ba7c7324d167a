#include "planner/chain.h"

#include <algorithm>
#include <limits>

namespace thimble {
namespace {

constexpr float kNever = std::numeric_limits<float>::infinity();

size_t index(int64_t i) { return static_cast<size_t>(i); }

int64_t bytes_of(const Graph& g, TensorId t) {
  return t == kNoTensor || !is_forward_result(g.tensor(t).role)
             ? 0
             : g.tensor(t).shape.elements() * element_bytes(g.tensor(t).type);
}

// When nothing is kept, the output takes the place of an input.
bool runs_in_place(const Graph& g, const Node& node, TensorId output) {
  for (const InPlacePair& pair : find_op(node.op).in_place) {
    const TensorId in = pair.input < node.inputs.size() ? node.inputs[pair.input] : kNoTensor;
    if (node.outputs[pair.output] == output && bytes_of(g, in) == bytes_of(g, output)) return true;
  }
  return false;
}

// Reads of forward results: the last forward node (as an index into the forward pass), and whether
// the backward pass does.
struct Reads {
  std::vector<int32_t> last_forward;
  std::vector<bool> backward;
  std::vector<int32_t> first_owner;  // of the backward nodes: the first forward node that owns one
};

Reads reads_of(const Graph& g, const std::vector<int32_t>& forward) {
  Reads r{std::vector<int32_t>(g.tensors.size(), -1), std::vector<bool>(g.tensors.size()),
          std::vector<int32_t>(g.tensors.size(), INT32_MAX)};
  std::vector<int32_t> region_of(g.tensors.size());
  for (size_t i = 0; i < forward.size(); ++i) {
    const Node& node = g.nodes[index(forward[i])];
    for (TensorId t : node.inputs) {
      if (t == kNoTensor) continue;
      r.last_forward[index(t)] = static_cast<int32_t>(i);
      // Bands run again with their gradients, and read then what stands before the region.
      if (node.region == 0 || region_of[index(t)] == node.region) continue;
      r.backward[index(t)] = true;
      r.first_owner[index(t)] = std::min(r.first_owner[index(t)], forward[i]);
    }
    for (TensorId t : node.outputs) {
      if (t != kNoTensor) region_of[index(t)] = node.region;
    }
  }
  for (const Node& node : g.nodes) {
    if (node.phase != Phase::backward) continue;
    for (TensorId t : node.inputs) {
      if (t == kNoTensor) continue;
      r.backward[index(t)] = true;
      if (node.gradient_of < 0) continue;
      r.first_owner[index(t)] = std::min(r.first_owner[index(t)], node.gradient_of);
    }
  }
  return r;
}

// What a region's largest band has at a time, lean: what is not droppable, and the largest map with
// its gradient.
int64_t band_bytes(const Graph& g, const std::vector<int32_t>& forward, int32_t begin, int32_t end,
                   const std::vector<bool>& droppable) {
  int64_t most = 0, kept = 0, largest = 0;
  for (int32_t i = begin; i < end; ++i) {
    const Node& node = g.nodes[index(forward[index(i)])];
    if (node.band == 0) return 0;
    if (i > begin && g.nodes[index(forward[index(i - 1)])].band != node.band) kept = largest = 0;
    const bool joins = i + 1 == end || g.nodes[index(forward[index(i + 1)])].band != node.band;
    if (joins) continue;  // its result is the whole map
    for (TensorId t : node.outputs) {
      if (t != kNoTensor && !droppable[index(t)]) kept += bytes_of(g, t);
      largest = std::max(largest, bytes_of(g, t));
    }
    most = std::max(most, kept + 2 * largest);
  }
  return most;
}

}  // namespace

Chain make_chain(const Graph& g, const Machine& machine) {
  const std::vector<int32_t> forward = forward_nodes(g);
  const Reads reads = reads_of(g, forward);
  const std::vector<bool> droppable = droppable_tensors(g);
  Chain chain;
  chain.stage_begins = cut_into_stages(g);
  chain.stages.resize(chain.stage_begins.size() - 1);
  std::vector<int32_t> stage_of(g.nodes.size(), -1);
  for (size_t s = 0; s < chain.stages.size(); ++s) {
    Chain::Stage& stage = chain.stages[s];
    const int32_t end = chain.stage_begins[s + 1];
    stage.band_bytes = band_bytes(g, forward, chain.stage_begins[s], end, droppable);
    stage.forward_bytes = stage.band_bytes;
    for (int32_t i = chain.stage_begins[s]; i < end; ++i) {
      const Node& node = g.nodes[index(forward[index(i)])];
      stage_of[index(forward[index(i)])] = static_cast<int32_t>(s);
      const double seconds = predict_seconds(g, node, machine);
      stage.forward_seconds += seconds;
      for (TensorId t : node.outputs) {
        const int64_t bytes = bytes_of(g, t);
        if (bytes == 0) continue;
        const int32_t last = reads.last_forward[index(t)];
        if (node.band > 0 && last < end) continue;  // of one band
        for (size_t later = s + 1; later < chain.stages.size(); ++later) {
          if (last >= chain.stage_begins[later]) chain.stages[later].input_bytes += bytes;
        }
        if (!runs_in_place(g, node, t)) stage.forward_bytes += bytes;
        if (!reads.backward[index(t)] && last < end) continue;
        stage.kept_bytes += bytes;
        const bool own = reads.first_owner[index(t)] <= forward[index(end - 1)];
        if (!own) stage.handed_on_bytes += bytes;
        if (!droppable[index(t)]) continue;
        stage.dropped_bytes += bytes;
        if (own) stage.dropped_own_bytes += bytes;
        if (reads.backward[index(t)]) stage.lean_seconds += seconds;
      }
    }
  }
  for (Chain::Stage& stage : chain.stages) {
    if (stage.band_bytes > 0) stage.backward_seconds += stage.forward_seconds;
  }
  for (const Node& node : g.nodes) {
    if (node.gradient_of < 0) continue;
    Chain::Stage& stage = chain.stages[index(stage_of[index(node.gradient_of)])];
    stage.backward_seconds += predict_seconds(g, node, machine);
    for (TensorId t : node.outputs) {
      if (t == kNoTensor || g.tensor(t).role != Role::gradient) continue;
      stage.gradient_bytes = std::max(stage.gradient_bytes, g.tensor(t).shape.elements() * 4);
    }
  }
  return chain;
}

ChainSolver::ChainSolver(const Chain& chain, double share, double beside)
    : chain_(chain), count_(static_cast<int>(chain.stages.size())), beside_(beside) {
  int64_t all = 0;
  for (const Chain::Stage& s : chain.stages) {
    all += s.kept_bytes;
    // Room for whatever stands beside: two gradients of the largest map, a weight gradient.
    level_bytes_ = std::max(level_bytes_, 3 * s.input_bytes + s.forward_bytes + s.gradient_bytes);
  }
  level_bytes_ =
      static_cast<int64_t>(share * static_cast<double>(all + level_bytes_)) / kLevels + 1;
  const auto n = index(count_ + 1);
  table_.resize(n * n * (kLevels + 1));
  for (int length = 1; length <= count_; ++length) {
    for (int first = 0; first + length <= count_; ++first) {
      for (int level = 0; level <= kLevels; ++level) {
        const auto place = (index(first) * n + index(first + length)) * (kLevels + 1);
        table_[place + index(level)] = solve(first, first + length, level);
      }
    }
  }
}

int ChainSolver::levels_of(int64_t bytes) const {
  return static_cast<int>((bytes + level_bytes_ - 1) / level_bytes_);
}

const ChainSolver::Choice& ChainSolver::at(int first, int last, int level) const {
  static constexpr Choice kNothing{kNever, 0};
  static constexpr Choice kDone{0, 0};
  if (level < 0) return kNothing;
  if (first == last) return kDone;
  const auto n = index(count_ + 1);
  return table_[(index(first) * n + index(last)) * (kLevels + 1) + index(level)];
}

// The stages behind the last one have had what they read.
int64_t ChainSolver::kept_bytes(const Chain::Stage& s, bool lean, bool alone) {
  if (!alone) return s.kept_bytes - (lean ? s.dropped_bytes : 0);
  return s.kept_bytes - s.handed_on_bytes - (lean ? s.dropped_own_bytes : 0);
}

// `level` is what may be used beside the inputs of stage `first` and the gradient behind `last`.
ChainSolver::Choice ChainSolver::solve(int first, int last, int level) const {
  const Chain::Stage& s = chain_.stages[index(first)];
  Choice best{kNever, 0};
  const int64_t bytes = level * level_bytes_;
  if (bytes < s.forward_bytes) return best;
  const bool alone = first + 1 == last;
  const int64_t diff_dst = alone ? 0 : chain_.stages[index(first + 1)].input_bytes;
  const int64_t next = alone ? 0 : chain_.stages[index(first + 1)].forward_bytes;
  for (const bool lean : {false, true}) {
    if (lean && s.dropped_bytes == 0) continue;
    const int64_t kept = kept_bytes(s, lean, alone);
    const int64_t beside = lean && !alone ? s.dropped_bytes + next : 0;
    const auto backward =
        s.band_bytes + static_cast<int64_t>(beside_ * static_cast<double>(s.input_bytes + diff_dst +
                                                                          s.gradient_bytes));
    if (bytes < kept + std::max(backward, beside)) continue;
    const float rest = at(first + 1, last, level - levels_of(kept)).seconds;
    const auto own =
        static_cast<float>(s.forward_seconds + s.backward_seconds + (lean ? s.lean_seconds : 0));
    if (own + rest < best.seconds) best = {own + rest, static_cast<int16_t>(lean ? -2 : -1)};
  }
  auto forward = static_cast<float>(s.forward_seconds);
  for (int split = first + 1; split < last; ++split) {
    const Chain::Stage& to = chain_.stages[index(split)];
    const int input = levels_of(to.input_bytes);
    const float seconds =
        forward + at(split, last, level - input).seconds + at(first, split, level - input).seconds;
    if (seconds < best.seconds) best = {seconds, static_cast<int16_t>(split)};
    if (bytes < to.input_bytes + to.forward_bytes) break;
    forward += static_cast<float>(to.forward_seconds);
  }
  return best;
}

double ChainSolver::seconds(int level) const { return at(0, count_, level).seconds; }

std::optional<RecomputePlan> ChainSolver::plan(int level) const {
  if (at(0, count_, level).seconds == kNever) return std::nullopt;
  RecomputePlan plan;
  plan.stage_begins = chain_.stage_begins;
  plan.lean.resize(chain_.stages.size());
  emit(0, count_, level, plan);
  return plan;
}

void ChainSolver::emit(int first, int last, int level, RecomputePlan& plan) const {
  if (first == last) return;
  const int split = at(first, last, level).split;
  if (split > 0) {
    const int input = levels_of(chain_.stages[index(split)].input_bytes);
    for (int s = first; s < split; ++s) plan.actions.push_back({false, s});
    emit(split, last, level - input, plan);
    emit(first, split, level - input, plan);
    return;
  }
  const bool lean = split == -2;
  const Chain::Stage& s = chain_.stages[index(first)];
  plan.lean[index(first)] = lean;
  plan.actions.push_back({false, first});
  emit(first + 1, last, level - levels_of(kept_bytes(s, lean, first + 1 == last)), plan);
  plan.actions.push_back({true, first});
}

}  // namespace thimble
