#pragma once

#include "onnx/importer.h"

namespace thimble {

// Joins what exporters take apart: Relu and Clip to relu6, x * Sigmoid(x) to silu, Reshape,
// Transpose and Reshape to channel_shuffle, a sum behind a convolution to its bias, ... Layers that
// begin with '?' and are left over are refused; what nobody reads is dropped.
void simplify(Draft& draft);

}  // namespace thimble
