#pragma once

#include <cstdint>
#include <vector>

#include "graph/graph.h"

namespace thimble {

// One thing that a training step does: runs a node of the training graph for the first time (all
// those that are not forward run once), or a forward node again, or sums the gradients that a
// backward node is going to read as their sum.
struct Run {
  enum class Kind : uint8_t { first, again, sum };
  Kind kind = Kind::first;
  int32_t node = 0;  // of the training graph
  friend bool operator==(const Run&, const Run&) = default;
};
// Forward and backward nodes in the order in which they run. Each reads the newest run of what it
// reads, and what is kept follows from that: a list of runs can say every way to recompute.
using Runs = std::vector<Run>;

// When each part of the forward pass is run, and run again. Forward nodes are numbered in the
// graph's order and cut into stages [stage_begins[s], stage_begins[s + 1]); the last entry is the
// number of forward nodes.
struct RecomputePlan {
  struct Action {
    bool backward = false;
    int32_t stage = 0;
    friend bool operator==(const Action&, const Action&) = default;
  };
  std::vector<int32_t> stage_begins;
  // A lean stage does not keep what one cheap node makes from kept tensors: it is made again when
  // the backward pass reads it.
  std::vector<bool> lean;
  // All stages forward; then each backward, last first, behind a run of its forward nodes. What is
  // run again reads the newest run of what stands before it.
  std::vector<Action> actions;
  // When there are any, this is what runs, and stages say nothing.
  Runs runs;
  friend bool operator==(const RecomputePlan&, const RecomputePlan&) = default;
};

// Stages that begin at each node that is dear to run (convolutions, matrix products), at the first
// node and, by itself, the last. A region of row bands is one stage: each of its bands runs again
// just before its gradients, whatever the plan says.
std::vector<int32_t> cut_into_stages(const Graph& training);

// True for the tensors that a lean stage does not keep: results of a cheap node, all of whose
// inputs are kept. Two of them never depend on each other.
std::vector<bool> droppable_tensors(const Graph& training);

// The forward nodes of `graph`, in order.
std::vector<int32_t> forward_nodes(const Graph& graph);

// Runs parts of the forward pass again instead of keeping what they made. Same bits: batch norm
// replays its first statistics, dropout draws the same numbers, nothing is updated twice.
// Checkpointing: arXiv 1604.06174; its best schedule for a chain: arXiv 1911.13214.
// `training` comes from `add_optimizer` and was not rewritten before. Runs that nobody reads are
// left out.
Graph recompute(const Graph& training, const Runs& runs);
Graph recompute(const Graph& training, const RecomputePlan& plan);

// The plan, node by node; what runs again waits for its first reader where that costs nothing
// (core/late_runs.h).
Runs runs_of(const Graph& training, const RecomputePlan& plan);

}  // namespace thimble
