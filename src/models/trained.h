#pragma once

#include <string>
#include <vector>

#include "graph/graph.h"

namespace thimble {

// Leaves only what `rules` name to be trained; the rest is frozen, and needs neither a gradient nor
// what a gradient would read. Rules, with commas between; what one names is trained if no later one
// takes it out:
//   all        everything
//   head       the last layer that has weights
//   last:K     the last K layers that have weights, with the normalisations behind them
//   bias       what is added: biases, and the shifts of normalisations
//   norm       scales and shifts of normalisations
//   side       the network beside the model ("side.*")
//   PATTERN    tensors of that name; * stands for any characters, ? for one
//   !PATTERN   not these
// What begins anew (`fresh`, a pattern as well) is always trained. A batch normalisation whose
// scale is frozen keeps its running statistics. Throws UserError when a rule names nothing.
Graph with_trained(Graph forward, const std::string& rules,
                   const std::vector<std::string>& fresh = {});

}  // namespace thimble
