#pragma once

#include <optional>
#include <string>
#include <vector>

#include "planner/cost_model.h"

namespace thimble {

// The fastest way to run a small training graph within a number of bytes, found by looking at every
// state that a schedule can be in: which nodes have run, and which forward results are there. A
// schedule is a path through these states, an edge runs a node, its length is the node's predicted
// time, and bytes forbid edges; Dijkstra's path is the optimum.
//
// What it may do: run any forward node again at any moment at which its inputs are there, keep or
// drop any forward result at any moment, run either gradient of a layer first, and sum two
// gradients as soon as they are there. This is what the planner's lists of runs can say; unlike in
// Checkmate (arXiv 1910.02653), nodes may run again any number of times in any order between two
// first runs.
//
// What it counts is what thimble's own memory plan counts (memory/plan.h), so that `graph_of` its
// answer takes no more bytes than it said:
// * blocks of 64 bytes; weights, statistics, optimizer state, data and metrics for the whole step;
// * every output of a node while it runs, read or not, and the scratch of the portable kernel;
// * an output over an input where the op allows it, both have the same bytes, and the input is not
//   needed afterwards;
// * a weight's gradient from its making until the last reader of the weight, when it is applied;
// * statistics and masks that the second run of a node reads (OpDef::replay) from its first run
//   until its backward run;
// * gradients of activations from their making to their last reader; they are made once.
struct ExactSchedule {
  struct Run {
    int32_t node = 0;  // of the training graph
    bool again = false;
  };
  double seconds = 0;
  std::vector<Run> runs;  // forward and backward nodes
};

class ExactSolver {
 public:
  // `training` comes from `add_optimizer`; at most 16 forward results.
  ExactSolver(const Graph& training, const Machine& machine);

  // Nothing when no schedule fits.
  std::optional<ExactSchedule> fastest(int64_t arena_bytes) const;
  // A training graph that runs so.
  Graph graph_of(const ExactSchedule& schedule) const;
  // The same question as a mixed-integer programme in CPLEX's LP format, in microseconds, for the
  // first runs in the order of `schedule`: see exact_programme.cpp.
  std::string programme(const ExactSchedule& schedule, int64_t arena_bytes) const;

 private:
  using Mask = uint32_t;  // forward results that are there
  // Which nodes have run for the first time.
  struct Position {
    std::vector<bool> done;
    std::vector<bool> live;  // of the tensors that are not the solver's to drop
    int64_t bytes = 0;       // of those
    std::vector<std::pair<int32_t, int32_t>> next;  // a node that may run now, and where that leads
  };
  // One edge: the bytes while it runs and the results that are there afterwards.
  struct Edge {
    int64_t bytes = 0;
    Mask after = 0;
  };

  // The sum of two gradients that one backward node reads.
  struct Sum {
    size_t of, node, reader;  // that node; the sum; that node with the sum instead of the two
    TensorId result;
    TensorId parts[2];
  };

  void add_sums();
  void add_positions(const std::vector<size_t>& order);
  void add_position(const std::vector<bool>& done);
  bool is_summed(TensorId t, size_t reader, const std::vector<bool>& done) const;
  int64_t bytes_of(TensorId t) const;
  int64_t bytes_of(Mask mask) const;
  bool may_run_again(size_t node, const Position& at) const;
  // Runs a node where the inputs in `dropped` are not needed afterwards.
  Edge edge(const Node& node, const Position& at, const Position& to, Mask mask,
            Mask dropped) const;
  Mask inputs_of(const Node& node) const;

  Graph graph_;       // and what may run beside its nodes
  size_t nodes_ = 0;  // of the training graph
  std::vector<Sum> sums_;
  int64_t persistent_bytes_ = 0;
  double other_seconds_ = 0;                     // of updates
  std::vector<int> bit_;                         // by tensor: its place in a mask, or -1
  std::vector<int64_t> bit_bytes_;               // by that place
  std::vector<bool> transient_;                  // by tensor
  std::vector<std::vector<size_t>> readers_;     // by tensor: first runs that need it there
  std::vector<double> seconds_, seconds_again_;  // by node
  std::vector<Node> again_;                      // by node
  std::vector<Position> positions_;
};

}  // namespace thimble
