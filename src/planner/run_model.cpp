#include "planner/run_model.h"

#include <algorithm>
#include <map>

#include "base/bytes.h"
#include "ops/core/builder.h"
#include "transforms/core/again.h"

namespace thimble {
namespace {

size_t at(int64_t i) { return static_cast<size_t>(i); }

// Chains of nodes that run again for one tensor are not longer.
constexpr int kDeepest = 8;

}  // namespace

RunModel::RunModel(const Graph& training, Backend& backend, std::vector<NamedLayout>& layouts,
                   const std::vector<Reservation>& reservations, const Machine& machine)
    : nodes_(training.nodes.size()), tasks_(4 * nodes_) {
  // A graph with all that may ever run, for the costs; nobody runs it.
  Graph all = training;
  std::vector<std::pair<size_t, size_t>> extra;  // task, node of `all`
  for (size_t n = 0; n < nodes_; ++n) {
    const Node& node = training.nodes[n];
    if (node.phase == Phase::forward) {
      extra.emplace_back(task(kAgain, static_cast<int32_t>(n)), all.nodes.size());
      all.nodes.push_back(run_again(node));
    }
    const auto [a, b] = find_op(node.op).summed_inputs;
    if (a == b || node.inputs[b] == kNoTensor) continue;
    // The reader of bf16 gradients sums in float: their sum would be rounded once more.
    if (all.tensor(node.inputs[a]).type != ElementType::bf16) {
      sums_.push_back({static_cast<int32_t>(n), node.inputs[a], node.inputs[b]});
    }
    extra.emplace_back(task(kSum, static_cast<int32_t>(n)), all.nodes.size());
    const std::vector<TensorId> both = {node.inputs[a], node.inputs[b]};
    Node summed = node;
    summed.inputs[a] = append_node(all, Phase::backward, "add", node.name, both)[0];
    summed.inputs[b] = kNoTensor;
    extra.emplace_back(task(kSummed, static_cast<int32_t>(n)), all.nodes.size());
    all.nodes.push_back(std::move(summed));
  }
  const Schedule schedule = make_schedule(all, backend, layouts);
  exact_ = schedule.steps.size() == all.nodes.size();
  if (!exact_) return;
  for (const PersistentBlock& p : place_persistent({&schedule}, reservations)) {
    persistent_bytes_ = std::max(persistent_bytes_, p.offset + p.bytes);
  }
  for (const auto& buffer : schedule.buffers) {
    bytes_.push_back(buffer.bytes);
    persistent_.push_back(buffer.persistent);
  }
  // The schedule has what prepares a step in front.
  std::vector<size_t> step_of(all.nodes.size());
  size_t step = 0;
  for (const bool prepare : {true, false}) {
    for (size_t n = 0; n < all.nodes.size(); ++n) {
      if ((all.nodes[n].phase == Phase::prepare) == prepare) step_of[n] = step++;
    }
  }
  std::map<std::string, int32_t> layers;
  const auto fill = [&](size_t number, size_t n) {
    const Step& s = schedule.steps[step_of[n]];
    Task& t = tasks_[number];
    const auto split = [](const std::vector<BufferId>& ids, std::vector<TensorId>& present,
                          std::vector<int>& slots) {
      for (BufferId id : ids) {
        slots.push_back(id == kNoBuffer ? -1 : static_cast<int>(present.size()));
        if (id != kNoBuffer) present.push_back(id);
      }
    };
    split(s.inputs, t.inputs, t.slots_in);
    split(s.outputs, t.outputs, t.slots_out);
    t.in_place = s.in_place;
    t.scratch_bytes = round_up(s.scratch_bytes, kAlignment);
    t.seconds = predict_seconds(schedule, s, machine);
    t.phase = s.phase;
    t.of_weights = s.op.ends_with("_backward_weights");
    if (s.phase == Phase::backward && (t.of_weights || s.op.ends_with("_backward_data"))) {
      t.layer = layers.try_emplace(s.name, static_cast<int32_t>(layers.size())).first->second;
    }
  };
  for (size_t n = 0; n < nodes_; ++n) fill(n, n);
  for (const auto& [number, n] : extra) fill(number, n);
  producer_.assign(all.tensors.size(), -1);
  for (size_t n = 0; n < nodes_; ++n) {
    const Node& node = training.nodes[n];
    if (node.phase == Phase::prepare) before_.push_back(n);
    if (node.phase != Phase::forward) {
      if (node.phase != Phase::prepare && node.gradient_of < 0) behind_.push_back(n);
      continue;
    }
    // Bands stay whole, and what the training loop reads is written once.
    const std::vector<TensorId>& made = tasks_[task(kAgain, static_cast<int32_t>(n))].outputs;
    const bool reports = std::any_of(made.begin(), made.end(), [&](TensorId t) {
      return !is_forward_result(all.tensor(t).role);
    });
    if (node.region != 0 || reports) continue;
    for (TensorId t : made) producer_[at(t)] = static_cast<int32_t>(n);
  }
}

RunModel::Cost RunModel::cost(Runs& runs) {
  resolve(runs);
  if (remove_unread(runs)) resolve(runs);
  swap_gradients();
  hoist_updates();
  measure();
  Cost cost;
  for (const Place& p : places_) cost.seconds += tasks_[p.task].seconds;
  cost.arena_bytes = *std::max_element(live_.begin(), live_.end());
  return cost;
}

double RunModel::excess(int64_t arena_bytes) const {
  double sum = 0;
  for (int64_t live : live_) sum += static_cast<double>(std::max(live - arena_bytes, int64_t{0}));
  return sum;
}

std::span<const RunModel::Buffer> RunModel::ins(size_t place) const {
  const Place& p = places_[place];
  return {&buffers_in_[at(p.begin_in)], tasks_[p.task].inputs.size()};
}

std::span<const RunModel::Buffer> RunModel::outs(size_t place) const {
  const Place& p = places_[place];
  return {&buffers_out_[at(p.begin_out)], tasks_[p.task].outputs.size()};
}

// Which version of each tensor every run reads and makes.
void RunModel::resolve(const Runs& runs) {
  places_.clear();
  buffers_in_.clear();
  buffers_out_.clear();
  const size_t tensors = bytes_.size();
  tensor_of_.resize(tensors);
  older_.assign(tensors, -1);
  newest_.resize(tensors);
  for (size_t t = 0; t < tensors; ++t) newest_[t] = tensor_of_[t] = static_cast<TensorId>(t);
  const auto add = [&](size_t number, bool fresh) {
    const Task& t = tasks_[number];
    places_.push_back({number, static_cast<int32_t>(buffers_in_.size()),
                       static_cast<int32_t>(buffers_out_.size())});
    for (TensorId in : t.inputs) buffers_in_.push_back(newest_[at(in)]);
    for (TensorId out : t.outputs) {
      if (fresh) {
        older_.push_back(newest_[at(out)]);
        newest_[at(out)] = static_cast<Buffer>(tensor_of_.size());
        tensor_of_.push_back(out);
      }
      buffers_out_.push_back(newest_[at(out)]);
    }
  };
  for (size_t number : before_) add(number, false);
  offset_ = places_.size();
  summed_.assign(nodes_, false);
  for (const Run& r : runs) {
    if (r.kind == Run::Kind::sum) {
      summed_[at(r.node)] = true;
      add(task(kSum, r.node), false);
    } else if (r.kind == Run::Kind::again) {
      add(task(kAgain, r.node), true);
    } else {
      add(task(summed_[at(r.node)] ? kSummed : kFirst, r.node), false);
    }
  }
  for (size_t number : behind_) add(number, false);
  // Empty spans still point somewhere.
  buffers_in_.push_back(-1);
  buffers_out_.push_back(-1);
}

bool RunModel::remove_unread(Runs& runs) {
  read_.assign(tensor_of_.size(), 0);
  bool removed = false;
  for (size_t i = places_.size(); i-- > 0;) {
    const size_t kind = places_[i].task / nodes_;
    if (kind == kAgain || kind == kSum) {
      const auto made = outs(i);
      if (std::none_of(made.begin(), made.end(), [&](Buffer b) { return read_[at(b)] != 0; })) {
        runs[i - offset_].node = -1;
        removed = true;
        continue;
      }
    }
    for (Buffer b : ins(i)) read_[at(b)] = 1;
  }
  if (removed) std::erase_if(runs, [](const Run& r) { return r.node < 0; });
  return removed;
}

// As in schedule/order.cpp.
void RunModel::swap_gradients() {
  order_.resize(places_.size());
  for (size_t i = 0; i < order_.size(); ++i) order_[i] = static_cast<int32_t>(i);
  last_read_.assign(tensor_of_.size(), -1);
  for (size_t i = 0; i < places_.size(); ++i) {
    for (Buffer b : ins(i)) last_read_[at(b)] = static_cast<int32_t>(i);
  }
  for (size_t i = 0; i + 1 < order_.size(); ++i) {
    const size_t first = at(order_[i]);
    const size_t second = at(order_[i + 1]);
    const Task& a = tasks_[places_[first].task];
    const Task& b = tasks_[places_[second].task];
    if (a.layer < 0 || a.layer != b.layer || !a.of_weights || b.of_weights) continue;
    int64_t made = 0, freed = 0;
    for (Buffer o : outs(first)) made += bytes_[at(tensor_of_[at(o)])];
    for (Buffer in : ins(first)) {
      const TensorId t = tensor_of_[at(in)];
      if (!persistent_[at(t)] && last_read_[at(in)] == static_cast<int32_t>(i))
        freed += bytes_[at(t)];
    }
    if (made > freed) std::swap(order_[i], order_[i + 1]);
  }
}

void RunModel::hoist_updates() {
  const auto late = [&](int32_t i) {
    const Phase phase = tasks_[places_[at(i)].task].phase;
    return phase == Phase::update || phase == Phase::finish;
  };
  body_.clear();
  std::copy_if(order_.begin(), order_.end(), std::back_inserter(body_),
               [&](int32_t i) { return !late(i); });
  written_.assign(tensor_of_.size(), -1);
  touched_.assign(tensor_of_.size(), -1);
  const auto record = [&](int32_t i, int32_t place) {
    for (Buffer b : ins(at(i))) touched_[at(b)] = std::max(touched_[at(b)], place);
    for (Buffer b : outs(at(i))) {
      touched_[at(b)] = std::max(touched_[at(b)], place);
      written_[at(b)] = std::max(written_[at(b)], place);
    }
  };
  for (size_t s = 0; s < body_.size(); ++s) record(body_[s], static_cast<int32_t>(s));
  hoisted_.clear();
  for (int32_t i : order_) {
    if (tasks_[places_[at(i)].task].phase != Phase::update) continue;
    int32_t place = -1;
    for (Buffer b : ins(at(i))) place = std::max(place, written_[at(b)]);
    for (Buffer b : outs(at(i))) place = std::max(place, touched_[at(b)]);
    waiting_.push_back(i);
    if (place < 0) continue;
    for (int32_t next : waiting_) {
      record(next, place);
      hoisted_.emplace_back(place, next);
    }
    waiting_.clear();
  }
  ensure(waiting_.empty(), "an update reads nothing that the step makes");
  std::stable_sort(hoisted_.begin(), hoisted_.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<int32_t> finish;
  for (int32_t i : order_) {
    if (tasks_[places_[at(i)].task].phase == Phase::finish) finish.push_back(i);
  }
  order_.clear();
  auto next = hoisted_.begin();
  for (size_t s = 0; s < body_.size(); ++s) {
    order_.push_back(body_[s]);
    for (; next != hoisted_.end() && next->first == static_cast<int32_t>(s); ++next) {
      order_.push_back(next->second);
    }
  }
  order_.insert(order_.end(), finish.begin(), finish.end());
}

// As in memory/plan.cpp.
void RunModel::measure() {
  first_.assign(tensor_of_.size(), -1);
  last_.assign(tensor_of_.size(), -1);
  block_of_.assign(tensor_of_.size(), -1);
  const auto transient = [&](Buffer b) { return !persistent_[at(tensor_of_[at(b)])]; };
  for (size_t s = 0; s < order_.size(); ++s) {
    const auto touch = [&](Buffer b) {
      if (first_[at(b)] < 0) first_[at(b)] = static_cast<int32_t>(s);
      last_[at(b)] = static_cast<int32_t>(s) + 1;
    };
    for (Buffer b : ins(at(order_[s]))) touch(b);
    for (Buffer b : outs(at(order_[s]))) touch(b);
  }
  live_.assign(order_.size() + 1, 0);
  block_bytes_.clear();
  block_first_.clear();
  block_last_.clear();
  for (size_t s = 0; s < order_.size(); ++s) {
    const size_t i = at(order_[s]);
    const Task& task = tasks_[places_[i].task];
    if (task.scratch_bytes > 0) {
      live_[s] += task.scratch_bytes;
      live_[s + 1] -= task.scratch_bytes;
    }
    const auto in = ins(i);
    const auto out = outs(i);
    Buffer given_away[4];
    size_t given = 0;
    for (size_t k = 0; k < task.slots_out.size(); ++k) {
      if (task.slots_out[k] < 0) continue;
      const Buffer o = out[at(task.slots_out[k])];
      if (!transient(o)) continue;
      const int64_t bytes = bytes_[at(tensor_of_[at(o)])];
      Buffer over = -1;
      for (const InPlacePair& pair : task.in_place) {
        if (pair.output != k || pair.input >= task.slots_in.size()) continue;
        if (task.slots_in[pair.input] < 0) continue;
        const Buffer b = in[at(task.slots_in[pair.input])];
        if (!transient(b)) continue;
        const bool free = std::find(given_away, given_away + given, b) == given_away + given;
        const bool last_use = last_[at(b)] == static_cast<int32_t>(s) + 1;
        if (last_use && free && bytes_[at(tensor_of_[at(b)])] == bytes) {
          over = b;
          break;
        }
      }
      if (over >= 0) {
        ensure(given < std::size(given_away), "an op writes over more inputs than any did");
        given_away[given++] = over;
        const int32_t block = block_of_[at(over)];
        block_of_[at(o)] = block;
        block_last_[at(block)] = std::max(block_last_[at(block)], last_[at(o)]);
        continue;
      }
      block_of_[at(o)] = static_cast<int32_t>(block_bytes_.size());
      block_bytes_.push_back(round_up(bytes, kAlignment));
      block_first_.push_back(first_[at(o)]);
      block_last_.push_back(last_[at(o)]);
    }
  }
  for (size_t b = 0; b < block_bytes_.size(); ++b) {
    live_[at(block_first_[b])] += block_bytes_[b];
    live_[at(block_last_[b])] -= block_bytes_[b];
  }
  int64_t sum = persistent_bytes_;
  for (int64_t& live : live_) {
    sum += live;
    live = sum;
  }
  live_.pop_back();
}

// The place of the run at the peak, or before the update that is; -1: none of the runs.
int64_t RunModel::run_at_peak(size_t runs) const {
  for (auto s = std::max_element(live_.begin(), live_.end()) - live_.begin(); s >= 0; --s) {
    const auto place = at(order_[at(s)]);
    const Phase phase = tasks_[places_[place].task].phase;
    if (phase != Phase::forward && phase != Phase::backward) continue;
    return place >= offset_ && place < offset_ + runs ? static_cast<int64_t>(place) : -1;
  }
  return -1;
}

void RunModel::find_touches(int64_t peak) {
  touches_.assign(tensor_of_.size(), {});
  for (size_t i = offset_; i < places_.size(); ++i) {
    const auto here = static_cast<int32_t>(i);
    for (Buffer b : ins(i)) {
      Touches& t = touches_[at(b)];
      t.last = here;
      if (here <= peak) {
        t.before = here;
        t.read_before = true;
      } else if (t.next < 0) {
        t.next = here;
      }
    }
    for (Buffer b : outs(i)) {
      touches_[at(b)].maker = here;
      if (here <= peak) touches_[at(b)].before = here;
    }
  }
}

RunModel::Buffer RunModel::version_at(TensorId tensor, int64_t place) const {
  Buffer b = newest_[at(tensor)];
  while (older_[at(b)] >= 0 && touches_[at(b)].maker >= place) b = older_[at(b)];
  return b;
}

// Just before it is read: the node, or as many nodes before it as have inputs that are not there.
void RunModel::add_late(Buffer buffer, int64_t peak, std::vector<Move>& all) const {
  const TensorId tensor = tensor_of_[at(buffer)];
  const Touches& of = touches_[at(buffer)];
  // What was made again for nothing but this is not made twice.
  const bool was_early = !of.read_before && places_[at(of.maker)].task / nodes_ == kAgain;
  std::vector<int32_t> nodes = {producer_[at(tensor)]};
  for (int depth = 0; depth < kDeepest; ++depth) {
    int64_t kept_longer = 0;
    double seconds = 0;
    bool possible = true;
    std::vector<int32_t> more;
    for (int32_t n : nodes) {
      seconds += seconds_again(n);
      for (TensorId in : tasks_[task(kAgain, n)].inputs) {
        const int32_t from = producer_[at(in)];
        if (persistent_[at(in)] || std::find(nodes.begin(), nodes.end(), from) != nodes.end()) {
          continue;
        }
        const Buffer v = version_at(in, of.next);
        const bool is_there = v != buffer && touches_[at(v)].last > peak;
        if (is_there || touches_[at(v)].maker > peak) continue;
        kept_longer += bytes_[at(in)];
        possible = possible && from >= 0;
        if (std::find(more.begin(), more.end(), from) == more.end()) more.push_back(from);
      }
    }
    if (bytes_[at(tensor)] > kept_longer) {
      Move move{
          of.next - static_cast<int32_t>(offset_), {},    -1, bytes_[at(tensor)] - kept_longer,
          was_early && depth == 0 ? 0 : seconds,   tensor};
      for (int32_t n : nodes) move.runs.push_back({Run::Kind::again, n});
      std::sort(move.runs.begin(), move.runs.end(),
                [](const Run& a, const Run& b) { return a.node < b.node; });
      all.push_back(std::move(move));
    }
    if (more.empty() || !possible) return;
    nodes.insert(nodes.end(), more.begin(), more.end());
  }
}

// What waits only for its reader to run again: better that one's result waits, if it is smaller.
void RunModel::add_early(Buffer buffer, int64_t peak, std::vector<Move>& all) const {
  const Touches& of = touches_[at(buffer)];
  const size_t number = places_[at(of.next)].task;
  if (number / nodes_ != kAgain || of.last != of.next) return;
  int64_t bytes = bytes_[at(tensor_of_[at(buffer)])];
  for (TensorId t : tasks_[number].outputs) bytes -= bytes_[at(t)];
  int32_t place = of.before;
  for (Buffer in : ins(at(of.next))) {
    if (!persistent_[at(tensor_of_[at(in)])]) place = std::max(place, touches_[at(in)].maker);
  }
  if (bytes <= 0 || place >= peak) return;
  const auto node = static_cast<int32_t>(number % nodes_);
  const auto begin = static_cast<int32_t>(offset_);
  all.push_back({place + 1 - begin,
                 {{Run::Kind::again, node}},
                 of.next - begin,
                 bytes,
                 0,
                 tensor_of_[at(buffer)]});
}

std::vector<RunModel::Move> RunModel::moves(const Runs& runs) {
  std::vector<Move> all;
  const int64_t peak = run_at_peak(runs.size());
  if (peak < 0) return all;
  find_touches(peak);
  // What one of a layer's gradients reads may go before the other is made, if nobody reads it soon.
  const bool one_of_two = tasks_[places_[at(peak)].task].layer >= 0;
  const int64_t in_use = one_of_two ? peak + 1 : peak;
  const auto end = static_cast<int64_t>(offset_ + runs.size());
  for (size_t b = 0; b < tensor_of_.size(); ++b) {
    const Touches& of = touches_[b];
    if (producer_[at(tensor_of_[b])] < 0 || of.next < 0 || of.next >= end) continue;
    if (of.before < 0 || of.before >= in_use) continue;  // not there, or in use
    add_late(static_cast<Buffer>(b), peak, all);
    add_early(static_cast<Buffer>(b), peak, all);
  }
  for (const Sum& s : sums_) {
    const Touches& a = touches_[at(s.first)];
    const Touches& b = touches_[at(s.second)];
    const auto waits = [&](const Touches& t) {
      return t.maker >= 0 && t.before < peak && t.before >= 0 && t.next > peak &&
             places_[at(t.next)].task == task(kFirst, s.node);
    };
    if (!waits(a) || !waits(b)) continue;
    const int32_t place = std::max(a.before, b.before) + 1 - static_cast<int32_t>(offset_);
    all.push_back({place, {{Run::Kind::sum, s.node}}, -1, bytes_[at(s.first)], 0, kNoTensor});
  }
  for (const int64_t first : {peak - 1, peak}) {
    if (first < static_cast<int64_t>(offset_) || first + 1 >= end) continue;
    const Task& a = tasks_[places_[at(first)].task];
    const Task& b = tasks_[places_[at(first + 1)].task];
    if (a.layer < 0 || a.layer != b.layer || !a.of_weights || b.of_weights) continue;
    const auto i = static_cast<int32_t>(first) - static_cast<int32_t>(offset_);
    all.push_back({i, {runs[at(i + 1)]}, i + 1, 1, 0, kNoTensor});
  }
  return all;
}

Runs RunModel::moved(const Runs& runs, const Move& move) {
  Runs result = runs;
  if (move.without >= 0) result.erase(result.begin() + move.without);
  const int32_t before = move.without >= 0 && move.without < move.at ? move.at - 1 : move.at;
  result.insert(result.begin() + before, move.runs.begin(), move.runs.end());
  return result;
}

}  // namespace thimble
