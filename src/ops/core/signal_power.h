#pragma once

#include <vector>

#include "graph/graph.h"

// What ops make of the mean squares of their inputs' elements, as a model begins: OpDef::power.

namespace thimble {

// Independent inputs through convolutions and linear layers: times the weights' variance, and as
// many terms as a sum has.
double power_behind_weights(const Graph& graph, const Node& node, const std::vector<double>& in);
// Batch and group norms as their scales begin, with addend (input 1) and activation.
double power_behind_norm(const Graph& graph, const Node& node, const std::vector<double>& in);
// Independent terms.
double power_of_sum(const Graph& graph, const Node& node, const std::vector<double>& in);
// The share that an activation passes of a signal as often above as below zero.
double power_passed(double slope);

}  // namespace thimble
