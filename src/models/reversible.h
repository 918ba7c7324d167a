#pragma once

#include <functional>
#include <string>
#include <vector>

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

// First weights as small as PyTorch's: a third of the input's power comes out. Of a coupling that
// adds more than it is given, little can be had again.
TensorId conv3x3(GraphBuilder& b, const std::string& name, TensorId src, int64_t channels);

// One layer or more that keep the shape.
using Branch = std::function<TensorId(const std::string& name, TensorId src)>;

// Additive coupling (arXiv 1410.8516; 1707.04585): y1 = x1 + f(x2), y2 = x2 + f'(y1), where f and
// f' are two of `branch`. Both inputs follow from both outputs.
Streams couple(GraphBuilder& b, const std::string& name, Streams x, const Branch& branch);

// One invertible layer (arXiv 1910.11127, section 4.1): a coupling with one 3x3 convolution for
// each half, then normalisation and leaky ReLU of each.
Streams invertible_layer(GraphBuilder& b, const ModelOptions& options, const std::string& name,
                         Streams x, double slope);
// 3x3 convolution, normalisation and leaky ReLU. Each stream has its own: nothing is cut.
TensorId invertible_stem(GraphBuilder& b, const ModelOptions& options, const std::string& name,
                         TensorId images, int64_t channels, double slope);
// What has a negative slope of leaky ReLU that can be inverted; refuses others.
double invertible_slope(const ModelOptions& options);
inline const ModelVariant kSlopeVariant = {
    "slope", "0.2", {}, "of leaky ReLU below zero: larger ones lose less on the way back"};

// Networks of `depth` equal layers or blocks halve their maps twice, after a third of them and
// after two: space_to_depth makes four times the channels of it, space_to_batch four times the
// examples, whose weights do not grow.
inline const ModelVariant kPoolsVariant = {
    "pools",
    "channel",
    {"channel", "alternate", "batch"},
    "halve maps into channels; into channels, then into examples; into examples"};
// Before layer `i`, counted from 0, of `depth`.
TensorId pooled_before(GraphBuilder& b, const ModelOptions& options, const std::string& name,
                       TensorId src, int64_t i, int64_t depth);
// The pixels that became examples, together again.
TensorId joined_examples(GraphBuilder& b, const ModelOptions& options, const std::string& name,
                         TensorId src);

// The means over each channel's pixels, layer "fc", loss. The streams are joined behind the mean,
// where they are small.
void classify_streams(GraphBuilder& b, const ModelOptions& options,
                      const std::vector<TensorId>& streams);

// Makes what a stage begins with of what the one before it ends in.
using Transition = std::function<Streams(GraphBuilder& b, const std::string& stage, Streams x)>;

// A stem of `channels`, four stages of two couplings of 3x3 convolutions, with `transition` between
// them, and a classifier.
Graph reversible_stages(const std::string& name, const ModelOptions& options, int64_t channels,
                        const Transition& transition);

}  // namespace thimble
