#include "transforms/core/late_runs.h"

#include <algorithm>
#include <limits>

namespace thimble {
namespace {

size_t at(int32_t id) { return static_cast<size_t>(id); }

constexpr int32_t kNone = -1;

// Runs are named by their place in the list that comes. `before_[r]` is the run that r stands
// before in the list that goes: r itself where it does not move, kNone where it is left out.
class Delay {
 public:
  Delay(const Graph& training, const Runs& runs)
      : runs_(runs),
        before_(runs.size()),
        sources_(runs.size()),
        readers_(runs.size()),
        next_same_(runs.size(), kNone),
        grouped_(runs.size()) {
    std::vector<int32_t> newest(training.tensors.size(), kNone);
    std::vector<int32_t> last(training.nodes.size(), kNone);
    for (size_t r = 0; r < runs.size(); ++r) {
      const auto id = static_cast<int32_t>(r);
      before_[r] = id;
      if (runs[r].kind == Run::Kind::sum) continue;  // of gradients: nothing here moves for them
      const Node& node = training.nodes[at(runs[r].node)];
      for (TensorId t : node.inputs) {
        const int32_t source = t == kNoTensor ? kNone : newest[at(t)];
        if (source == kNone) continue;
        sources_[r].push_back(source);
        readers_[at(source)].push_back(id);
      }
      for (TensorId t : node.outputs) {
        if (t != kNoTensor) newest[at(t)] = id;
      }
      if (int32_t& earlier = last[at(runs[r].node)]; earlier != kNone) next_same_[at(earlier)] = id;
      last[at(runs[r].node)] = id;
    }
  }

  Runs run() {
    for (size_t r = runs_.size(); r-- > 0;) {
      if (runs_[r].kind != Run::Kind::again) continue;
      if (readers_[r].empty()) {
        leave_out(static_cast<int32_t>(r));
        continue;
      }
      int32_t first = std::numeric_limits<int32_t>::max();
      for (int32_t reader : readers_[r]) first = std::min(first, before_[at(reader)]);
      group_.clear();
      const bool moves = first > before_[r] && joins(static_cast<int32_t>(r), first);
      for (int32_t member : group_) {
        grouped_[at(member)] = false;
        if (moves) before_[at(member)] = first;
      }
    }
    std::vector<int32_t> order;
    for (size_t r = 0; r < runs_.size(); ++r) {
      if (before_[r] != kNone) order.push_back(static_cast<int32_t>(r));
    }
    // Those that moved stand before the run that stayed, in the order that they had.
    std::sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
      if (before_[at(a)] != before_[at(b)]) return before_[at(a)] < before_[at(b)];
      const bool a_stays = before_[at(a)] == a, b_stays = before_[at(b)] == b;
      return a_stays != b_stays ? b_stays : a < b;
    });
    Runs late;
    for (int32_t r : order) late.push_back(runs_[at(r)]);
    return late;
  }

 private:
  // What nobody reads does not run; those that it would have read do not wait for it.
  void leave_out(int32_t run) {
    before_[at(run)] = kNone;
    for (int32_t source : sources_[at(run)]) std::erase(readers_[at(source)], run);
  }

  // Whether `run` may wait for the run `place`; it and what has to wait with it are in the group.
  bool joins(int32_t run, int32_t place) {
    if (grouped_[at(run)]) return true;
    grouped_[at(run)] = true;
    group_.push_back(run);
    if (runs_[at(run)].kind != Run::Kind::again) return false;
    // Whoever reads a later run of the same node must not find this one newer.
    const int32_t next = next_same_[at(run)];
    if (next != kNone && before_[at(next)] <= place) return false;
    for (int32_t reader : readers_[at(run)]) {
      if (!grouped_[at(reader)] && before_[at(reader)] < place) return false;
    }
    return std::all_of(sources_[at(run)].begin(), sources_[at(run)].end(), [&](int32_t source) {
      return is_there(source, place) || joins(source, place);
    });
  }

  // Somebody who does not move with the group keeps it as long as that.
  bool is_there(int32_t source, int32_t place) const {
    const auto& readers = readers_[at(source)];
    return std::any_of(readers.begin(), readers.end(), [&](int32_t reader) {
      return !grouped_[at(reader)] && before_[at(reader)] >= place;
    });
  }

  const Runs& runs_;
  std::vector<int32_t> before_;
  std::vector<std::vector<int32_t>> sources_;  // the runs that made what it reads
  std::vector<std::vector<int32_t>> readers_;
  std::vector<int32_t> next_same_;  // the next run of the same node
  std::vector<bool> grouped_;
  std::vector<int32_t> group_;
};

}  // namespace

Runs late_runs(const Graph& training, const Runs& runs) { return Delay(training, runs).run(); }

}  // namespace thimble
