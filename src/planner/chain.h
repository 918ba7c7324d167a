#pragma once

#include <optional>

#include "planner/cost_model.h"
#include "transforms/recompute.h"

namespace thimble {

// The forward pass of a training graph as a chain of stages, with the costs that decide what is
// kept and what is made again. Bytes are estimates (plain layouts, no scratch): they rank
// candidates, which are then judged by their real memory plan.
struct Chain {
  struct Stage {
    double forward_seconds = 0;
    double backward_seconds = 0;
    double lean_seconds = 0;        // to make again what a lean stage dropped
    int64_t input_bytes = 0;        // what crosses into the stage: its checkpoint
    int64_t forward_bytes = 0;      // made while it runs, when nothing is kept
    int64_t kept_bytes = 0;         // kept from its forward to its backward run
    int64_t dropped_bytes = 0;      // of these, what a lean stage does not keep
    int64_t handed_on_bytes = 0;    // of these, what only the stages behind it read
    int64_t dropped_own_bytes = 0;  // dropped and not handed on
    int64_t gradient_bytes = 0;     // of its weights
    // Of row bands: what one of them has at a time, in either direction. 0: no bands.
    int64_t band_bytes = 0;
  };
  std::vector<int32_t> stage_begins;
  std::vector<Stage> stages;
};
Chain make_chain(const Graph& training, const Machine& machine);

// The best schedules of a chain for every amount of memory: the dynamic programme of Rotor
// (arXiv 1911.13214, with two ways to keep a stage). Memory is counted in `kLevels` equal parts of
// what keeping everything takes.
class ChainSolver {
 public:
  static constexpr int kLevels = 160;

  // Covers amounts up to `share` of what keeping everything takes: the smaller, the finer.
  // `beside` scales the estimate of what a stage's backward run needs beside what is kept, which is
  // too much where gradients take the place of what they were made from.
  explicit ChainSolver(const Chain& chain, double share = 1, double beside = 1);

  // The fastest plan within `level` parts of the memory; nothing when there is none.
  std::optional<RecomputePlan> plan(int level) const;
  // Its seconds; infinite when there is none.
  double seconds(int level) const;
  int64_t level_bytes() const { return level_bytes_; }

 private:
  struct Choice {
    float seconds = 0;
    int16_t split = 0;  // > 0: checkpoint there; -1: keep the first stage; -2: keep it lean
  };
  const Choice& at(int first, int last, int level) const;
  Choice solve(int first, int last, int level) const;
  int levels_of(int64_t bytes) const;
  static int64_t kept_bytes(const Chain::Stage& stage, bool lean, bool alone);
  void emit(int first, int last, int level, RecomputePlan& plan) const;

  Chain chain_;
  int count_ = 0;
  int64_t level_bytes_ = 0;
  double beside_ = 1;
  std::vector<Choice> table_;
};

}  // namespace thimble
