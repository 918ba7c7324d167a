#pragma once

#include <functional>
#include <string>

#include "models/blocks.h"

namespace thimble {

// The two halves of a feature map's channels. They stay tensors of their own from block to block:
// nothing is joined or cut between.
struct Streams {
  TensorId first = kNoTensor;
  TensorId second = kNoTensor;
};

// Cuts the channels, an even number, in two.
Streams split_channels(GraphBuilder& b, const std::string& name, TensorId src);

// One layer or more that keep the shape.
using Branch = std::function<TensorId(const std::string& name, TensorId src)>;

// Additive coupling (arXiv 1410.8516; 1707.04585): y1 = x1 + f(x2), y2 = x2 + f'(y1), where f and
// f' are two of `branch`. Both inputs follow from both outputs.
Streams couple(GraphBuilder& b, const std::string& name, Streams x, const Branch& branch);

// The means over each channel's pixels, of both halves, layer "fc", loss. The halves are joined
// behind the mean, where they are small.
void classify_streams(GraphBuilder& b, const ModelOptions& options, Streams src);

// Makes what a stage begins with of what the one before it ends in.
using Transition = std::function<Streams(GraphBuilder& b, const std::string& stage, Streams x)>;

// A stem of `channels`, four stages of two couplings of 3x3 convolutions, with `transition` between
// them, and a classifier.
Graph reversible_stages(const std::string& name, const ModelOptions& options, int64_t channels,
                        const Transition& transition);

}  // namespace thimble
