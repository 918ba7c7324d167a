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
// With channels behind it, a rule names a part of each tensor:
//   RULE[8:24]  channels 8 to 23
//   RULE[1/4]   the first quarter, rounded up
// They are the channels that go in for the weight of a dense convolution or a linear layer (axis
// 1), as in MCUNet's sparse update (arXiv 2206.15472): of what goes in, backward then keeps those
// alone. Of depthwise convolutions, biases and normalisations they are the layer's own (axis 0).
// Of several rules that name a tensor, the last one holds.
// What begins anew (`fresh`, a pattern as well) is always trained. A batch normalisation whose
// scale is frozen keeps its running statistics. Throws UserError when a rule names nothing, or
// channels that a tensor does not have, and for channels of grouped convolutions.
Graph with_trained(Graph forward, const std::string& rules,
                   const std::vector<std::string>& fresh = {});

}  // namespace thimble
