#include "transforms/core/ways.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>

#include "base/error.h"
#include "ops/core/signal_loss.h"
#include "transforms/core/again.h"
#include "transforms/core/noise.h"
#include "transforms/core/signal_power.h"

namespace thimble {
namespace {

size_t at(int32_t id) { return static_cast<size_t>(id); }

double snr_db_of(double noise) {
  return noise > 0 ? -10 * std::log10(noise) : std::numeric_limits<double>::infinity();
}

bool contains(const std::vector<int32_t>& list, int32_t id) {
  return std::find(list.begin(), list.end(), id) != list.end();
}

// By convention of couplings: what a sum adds to its stream.
constexpr size_t kStream = 0;
constexpr size_t kTerm = 1;

class Choice {
 public:
  Choice(const Graph& training, const WaysWanted& wanted)
      : graph_(training),
        wanted_(wanted),
        producer_(training.tensors.size(), -1),
        readers_(training.tensors.size()),
        kept_(training.tensors.size()),
        powers_(expected_powers(training)) {
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

  Ways run() {
    for (auto n = static_cast<int32_t>(graph_.nodes.size()); n-- > 0;) {
      if (!may_be_inverted(n)) continue;
      if (ends_sums(n)) undo_coupling(n);
      const Node& node = graph_.nodes[at(n)];
      for (size_t i = 0; i < node.inputs.size(); ++i) invert_input(n, i);
    }
    ways_.least_snr_db = snr_db_of(NoiseModel(ways_, powers_, kChainedShare).largest());
    constexpr double kRoundingDb = 1e-6;
    ensure(ways_.least_snr_db >= wanted_.least_snr_db - kRoundingDb, "ways have ",
           ways_.least_snr_db, " dB of ", wanted_.least_snr_db);
    return std::move(ways_);
  }

 private:
  bool may_be_inverted(int32_t n) const {
    const Node& node = graph_.nodes[at(n)];
    return node.phase == Phase::forward && node.region == 0 && find_op(node.op).inverse;
  }

  Inverse inverse_of(int32_t n, size_t input) const {
    const Node& node = graph_.nodes[at(n)];
    return find_op(node.op).inverse(graph_, node, input);
  }

  // Its result cannot be made again from one kept tensor.
  bool is_sum(const Node& node) const {
    return std::count_if(node.inputs.begin(), node.inputs.end(), [&](TensorId t) {
             return t != kNoTensor && graph_.tensor(t).role == Role::activation;
           }) > 1;
  }

  // The last of sums that stand together: one coupling's.
  bool ends_sums(int32_t n) const {
    const bool more = at(n + 1) < graph_.nodes.size() && adds_to_stream(n + 1) &&
                      graph_.nodes[at(n + 1)].op == graph_.nodes[at(n)].op;
    return adds_to_stream(n) && !more;
  }

  // Its stream follows from the sum and the term.
  bool adds_to_stream(int32_t n) const {
    const Node& node = graph_.nodes[at(n)];
    if (!may_be_inverted(n) || node.inputs.size() != 2) return false;
    const Inverse inverse = inverse_of(n, kStream);
    return inverse.node && std::find(inverse.node->inputs.begin(), inverse.node->inputs.end(),
                                     node.inputs[kTerm]) != inverse.node->inputs.end();
  }

  void invert_input(int32_t n, size_t i) {
    const Node& node = graph_.nodes[at(n)];
    const TensorId t = node.inputs[i];
    if (t == kNoTensor) return;
    if (!may_be_dropped(t)) return leave_entry(n, i);
    const Inverse inverse = inverse_of(n, i);
    if (!inverse.node) {
      if (ways_.refusal.empty()) ways_.refusal = inverse.refusal;
      return;
    }
    if (wanted_.sums_alone && !is_sum(node)) return;
    if (!drop(t, inverting(n, i, inverse))) leave_entry(n, i);
  }

  bool may_be_dropped(TensorId t) const {
    return kept_[at(t)] && is_free(t) && !anchors_.contains(t);
  }

  // Has `t` in this way, and keeps it no longer, if everything can still be had.
  bool drop(TensorId t, const Way& way) {
    return all_or_nothing([&] {
      const size_t before = changes_.size();
      set_kept(t, false);
      std::set<TensorId> trying = {t};
      const bool ok = supply_inputs(way, trying);
      set_way(t, way);
      return ok && is_clear(before);
    });
  }

  void set_kept(TensorId t, bool kept) {
    note_change(t);
    kept_[at(t)] = kept;
  }
  void set_way(TensorId t, const Way& way) {
    note_change(t);
    ways_.of[t] = way;
  }
  void note_change(TensorId t) {
    const auto way = ways_.of.find(t);
    changes_.push_back(
        {t, kept_[at(t)], way == ways_.of.end() ? std::nullopt : std::optional<Way>(way->second)});
  }
  std::vector<TensorId> changed_since(size_t change) const {
    std::vector<TensorId> tensors;
    for (size_t c = change; c < changes_.size(); ++c) tensors.push_back(changes_[c].tensor);
    return tensors;
  }

  // What was chosen before `attempt` is chosen again when it fails.
  template <class Attempt>
  bool all_or_nothing(const Attempt& attempt) {
    const size_t before = changes_.size();
    if (attempt()) return true;
    const std::vector<TensorId> changed = changed_since(before);
    for (; changes_.size() > before; changes_.pop_back()) {
      const Change& c = changes_.back();
      kept_[at(c.tensor)] = c.kept;
      if (c.way) {
        ways_.of[c.tensor] = *c.way;
      } else {
        ways_.of.erase(c.tensor);
      }
    }
    if (noise_) noise_->forget(changed);
    return false;
  }

  // Also where any noise will do: what is made from itself has endlessly much. All that was chosen
  // before this change was clear.
  bool is_clear(size_t change) {
    double noise = 0;
    if (noise_ && wanted_.inside != Inside::with_entry) {
      noise = noise_->largest_of(changed_since(change));
    } else {
      noise_.emplace(ways_, powers_, kChainedShare);
      noise = noise_->largest();
    }
    return std::isfinite(noise) && snr_db_of(noise) >= wanted_.least_snr_db;
  }

  // `n` is the last of a coupling's sums. All that lies behind them is settled: the branch is had
  // again from what enters it, and the streams from the sums; or they are kept, all of them, and
  // chains begin again there.
  void undo_coupling(int32_t n) {
    RebuiltBranch branch;
    for (int32_t s = n; s >= 0 && adds_to_stream(s); --s) {
      if (graph_.nodes[at(s)].op != graph_.nodes[at(n)].op) break;
      branch.sums.push_back(s);
    }
    find_inside(branch);
    const bool dear = std::any_of(branch.nodes.begin(), branch.nodes.end(), [&](int32_t m) {
      return !is_cheap(graph_, graph_.nodes[at(m)]);
    });
    if (!dear) return;
    const bool inside =
        wanted_.inside == Inside::again ? run_inside_again(branch) : begin_branch(branch);
    if (!inside) return;
    const bool streams = all_or_nothing([&] {
      return std::all_of(branch.sums.begin(), branch.sums.end(),
                         [&](int32_t s) { return have_stream_back(s); });
    });
    if (!streams) keep_streams(branch);
  }

  // From where it only was moved to, if it was; or from the sum.
  bool have_stream_back(int32_t sum) {
    const TensorId stream = graph_.nodes[at(sum)].inputs[kStream];
    if (ways_.of.contains(stream)) return true;
    if (!is_free(stream)) return false;
    for (const Way& way : possible_ways(stream)) {
      if (!way.again && !way.rounds && drop(stream, way)) return true;
    }
    return drop(stream, inverting(sum, kStream, inverse_of(sum, kStream)));
  }

  // Neither kept for ever nor of a band, and a number that inverses know.
  bool is_free(TensorId t) const {
    const Tensor& tensor = graph_.tensor(t);
    const int32_t n = producer_[at(t)];
    return n >= 0 && graph_.nodes[at(n)].region == 0 && tensor.role == Role::activation &&
           tensor.type == ElementType::f32;
  }

  void keep_streams(const RebuiltBranch& branch) {
    for (int32_t s : branch.sums) {
      const TensorId stream = graph_.nodes[at(s)].inputs[kStream];
      if (!is_free(stream) || ways_.of.contains(stream)) continue;
      set_kept(stream, true);
      anchors_.insert(stream);
    }
  }

  // Nothing inside is kept: it runs again and is held until its gradients have read it.
  bool run_inside_again(const RebuiltBranch& branch) {
    return all_or_nothing([&] {
      return std::all_of(branch.nodes.begin(), branch.nodes.end(), [&](int32_t m) {
        // Statistics stay: a batch norm that runs again reads them.
        const TensorId t = graph_.nodes[at(m)].outputs[0];
        return is_free(t) && drop(t, running_again(m));
      });
    });
  }

  // What comes out of the branch is had by running it again as a whole; what lies inside from that.
  bool begin_branch(RebuiltBranch branch) {
    const bool invertible = std::any_of(branch.nodes.begin(), branch.nodes.end(), [&](int32_t m) {
      return may_be_inverted(m) && !is_sum(graph_.nodes[at(m)]) && inverse_of(m, 0).node;
    });
    if (!invertible) return false;
    std::set<TensorId> made, read;
    for (int32_t m : branch.nodes) {
      for (TensorId t : graph_.nodes[at(m)].inputs) {
        if (t != kNoTensor && graph_.tensor(t).role == Role::activation) read.insert(t);
      }
      for (TensorId t : graph_.nodes[at(m)].outputs) made.insert(t);
    }
    std::set_difference(read.begin(), read.end(), made.begin(), made.end(),
                        std::back_inserter(branch.entries));
    const auto id = static_cast<int32_t>(ways_.branches.size());
    ways_.branches.push_back(branch);
    noise_.reset();
    const bool terms = all_or_nothing([&] {
      return std::all_of(branch.sums.begin(), branch.sums.end(), [&](int32_t s) {
        const TensorId term = graph_.nodes[at(s)].inputs[kTerm];
        const Way way = {
            .node = producer_[at(term)], .again = true, .branch = id, .reads = branch.entries};
        return is_free(term) && drop(term, way);
      });
    });
    if (terms) return true;
    ways_.branches.pop_back();
    noise_.reset();
    return false;
  }

  void find_inside(RebuiltBranch& branch) const {
    for (int32_t m = branch.sums.back(); m-- > 0;) {
      if (lies_inside(m, branch)) branch.nodes.insert(branch.nodes.begin(), m);
    }
  }

  // All that reads what `m` makes lies inside, or is one of the sums that it is a term of.
  bool lies_inside(int32_t m, const RebuiltBranch& branch) const {
    const Node& node = graph_.nodes[at(m)];
    if (node.phase != Phase::forward || node.region > 0) return false;
    bool read = false;
    for (TensorId t : node.outputs) {
      if (t == kNoTensor) continue;
      for (int32_t reader : readers_[at(t)]) {
        read = true;
        const std::vector<TensorId>& inputs = graph_.nodes[at(reader)].inputs;
        const bool term =
            contains(branch.sums, reader) && inputs[kTerm] == t && inputs[kStream] != t;
        if (!term && !contains(branch.nodes, reader)) return false;
      }
    }
    return read;
  }

  // An entry that is kept or rebuilt until its branch has run again, and is had once more from the
  // inside.
  void leave_entry(int32_t n, size_t i) {
    const TensorId t = graph_.nodes[at(n)].inputs[i];
    if (wanted_.inside != Inside::with_entry) return;
    const auto enters = [&](const RebuiltBranch& b) { return contains(b.entries, t); };
    // What enters several is still needed by another when one has been left.
    if (std::count_if(ways_.branches.begin(), ways_.branches.end(), enters) != 1) return;
    for (RebuiltBranch& branch : ways_.branches) {
      if (!enters(branch) || !contains(branch.nodes, n)) continue;
      const Inverse inverse = inverse_of(n, i);
      if (!inverse.node || branch.after.contains(t)) return;
      branch.after[t] = inverting(n, i, inverse);
      const bool had = all_or_nothing([&] {
        const size_t before = changes_.size();
        const bool kept = kept_[at(t)];
        std::set<TensorId> trying = {t};
        // What runs the branch again has found the entry as it was before.
        behind_branch_ = true;
        set_kept(t, false);
        const bool ok = supply_inputs(branch.after[t], trying);
        set_kept(t, kept);
        behind_branch_ = false;
        return ok && is_clear(before);
      });
      if (!had) branch.after.erase(t);
      return;
    }
  }

  Way running_again(int32_t n) const {
    return with_reads({.node = n, .again = true}, run_again(graph_.nodes[at(n)]));
  }

  static Way inverting(int32_t n, size_t input, const Inverse& inverse) {
    return with_reads(
        {.node = n, .input = input, .loss_db = inverse.loss_db, .rounds = inverse.rounds},
        *inverse.node);
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

  // Best are inverses that only move values, then those of sums for their streams, from the last;
  // then what is cheap.
  std::vector<Way> possible_ways(TensorId t) const {
    std::vector<Way> moved, streams, others;
    for (auto reader = readers_[at(t)].rbegin(); reader != readers_[at(t)].rend(); ++reader) {
      const std::vector<TensorId>& inputs = graph_.nodes[at(*reader)].inputs;
      for (size_t i = 0; may_be_inverted(*reader) && i < inputs.size(); ++i) {
        if (inputs[i] != t) continue;
        const Inverse inverse = inverse_of(*reader, i);
        if (!inverse.node) continue;
        const bool stream = i == kStream && adds_to_stream(*reader);
        auto& list = !inverse.rounds ? moved : stream ? streams : others;
        list.push_back(inverting(*reader, i, inverse));
      }
    }
    std::vector<Way> all = std::move(moved);
    all.insert(all.end(), streams.begin(), streams.end());
    const Way again = running_again(producer_[at(t)]);
    const bool cheap = is_cheap(graph_, graph_.nodes[at(producer_[at(t)])]);
    if (cheap) all.push_back(again);
    all.insert(all.end(), others.begin(), others.end());
    if (!cheap) all.push_back(again);
    return all;
  }

  // Finds a way to have `t`, kept or not, that needs nothing of what is being made.
  bool supply(TensorId t, std::set<TensorId>& trying) {
    if (kept_[at(t)]) return true;
    std::set<TensorId> seen;
    if (ways_.of.contains(t)) return !needs(t, trying, seen);
    const int32_t producer = producer_[at(t)];
    if (producer < 0 || graph_.nodes[at(producer)].region > 0) return false;
    if (!trying.insert(t).second) return false;
    for (const Way& way : possible_ways(t)) {
      if (!all_or_nothing([&] { return supply_inputs(way, trying); })) continue;
      set_way(t, way);
      trying.erase(t);
      return true;
    }
    trying.erase(t);
    return false;
  }

  bool needs(TensorId t, const std::set<TensorId>& any, std::set<TensorId>& seen) const {
    if (any.contains(t)) return true;
    const auto it = ways_.of.find(t);
    if (it == ways_.of.end() || !seen.insert(t).second) return false;
    if (behind_branch_ && it->second.branch != kNoBranch) return false;
    return std::any_of(it->second.reads.begin(), it->second.reads.end(),
                       [&](TensorId in) { return needs(in, any, seen); });
  }

  const Graph& graph_;
  WaysWanted wanted_;
  std::vector<int32_t> producer_;              // by tensor: its forward node
  std::vector<std::vector<int32_t>> readers_;  // by tensor: forward nodes
  std::vector<bool> kept_;                     // by tensor: there in the backward pass
  std::vector<double> powers_;                 // by tensor, expected
  std::set<TensorId> anchors_;                 // kept to begin chains again from
  bool behind_branch_ = false;
  Ways ways_;
  // As it was before each change, to take them back.
  struct Change {
    TensorId tensor;
    bool kept;
    std::optional<Way> way;
  };
  std::vector<Change> changes_;
  std::optional<NoiseModel> noise_;  // of `ways_`; nothing: branches have changed since
};

}  // namespace

Ways choose_ways(const Graph& training, const WaysWanted& wanted) {
  return Choice(training, wanted).run();
}

}  // namespace thimble
