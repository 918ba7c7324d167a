#pragma once

#include <map>

#include "planner/run_model.h"

namespace thimble {

// Looks around known recompute plans for faster and smaller ones, for every amount of memory. A
// move lets go of one forward result at the peak, to be made again just before it is read, or takes
// one second run back. For a number of bytes: second runs are taken back, the dearest first, and
// where that takes too many bytes, others are let go, the most bytes for a second first, until it
// fits again; what ends up faster is the next to start from. Deterministic, and bounded by the
// number of plans that it may look at; a small network is through before that.
class LocalSearch {
 public:
  LocalSearch(const Graph& training, RunModel& model, int64_t most_looks);

  // A plan to begin from.
  void offer(RecomputePlan plan);
  void run();

  int64_t looks() const { return most_looks_ - looks_left_; }
  // None is both slower and larger than another. By bytes.
  struct Found {
    double seconds = 0;
    RecomputePlan plan;
  };
  const std::map<int64_t, Found>& found() const { return found_; }

 private:
  struct State {
    Runs runs;
    RunModel::Cost cost;
  };
  State look_at(Runs runs);
  bool is_useful(const RunModel::Cost& cost) const;
  void keep(const RunModel::Cost& cost, RecomputePlan plan);
  // The fastest known that fits; the smallest, when none does.
  State begin_from(int64_t bytes);
  // Lets go until it fits, of anything but `tensor`; false when it would be slower than `limit`.
  bool fit(State& state, int64_t bytes, double limit, TensorId tensor = kNoTensor);
  void improve(int64_t bytes);
  bool take_back(State& state, int64_t bytes);
  void make_smaller();
  void try_all_moves(State start, int64_t bytes);

  const Graph& training_;
  RunModel& model_;
  int64_t most_looks_;
  int64_t looks_left_;
  std::map<int64_t, Found> found_;
  int64_t looks_kept_ = 0;  // of those left, for what comes later
  int64_t changes_ = 0;     // of what was found
  State all_kept_;
  int64_t largest_ = 0;
  double too_long_ = 0;  // seconds
};

}  // namespace thimble
