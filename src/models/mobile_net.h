#pragma once

#include <span>
#include <string>

#include "models/blocks.h"

namespace thimble {

// A depthwise separable block: 3x3 on each channel alone, then 1x1 across channels; ReLU after
// both.
struct Separable {
  int64_t channels;  // out
  int64_t stride;
};

// A MobileNet (arXiv 1704.04861): a 3x3 stem of 32 channels, the blocks, the classifier.
Graph mobile_net(const std::string& name, const ModelOptions& options, int64_t stem_stride,
                 std::span<const Separable> blocks);

}  // namespace thimble
