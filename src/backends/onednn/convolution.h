#pragma once

#include <optional>

#include "backends/onednn/onednn.h"

namespace thimble::onednn {

// Descriptors of a convolution node's primitives, whose maps and weights may be parts of its own.
Window window_of(const Context& c);
// `bias` and here of no bytes: without.
dnnl::convolution_forward::primitive_desc forward_desc(const Context& c, const Desc& src,
                                                       const Desc& weights, const Desc& bias,
                                                       const Desc& dst);
dnnl::convolution_backward_data::primitive_desc backward_data_desc(const Context& c,
                                                                   const Desc& diff_src,
                                                                   const Desc& weights,
                                                                   const Desc& diff_dst);
// `weights`: their sizes, with the groups split off when there are several.
dnnl::convolution_backward_weights::primitive_desc backward_weights_desc(
    const Context& c, const Desc& src, const Dims& weights, const Desc& bias, const Desc& diff_dst);
Desc bias_desc(int64_t channels);
inline int64_t bytes_of(const Desc& desc) { return static_cast<int64_t>(desc.get_size()); }

// A convolution of several groups whose channels fill no blocks, for which oneDNN has no fast way:
// the groups one after the other, each a convolution of its own on maps that are brought into
// scratch. All tensors lie plain. Nothing: bf16, an addend, depthwise, or one group.
std::optional<KernelChoice> forward_by_groups(const Context& c);
std::optional<KernelChoice> backward_data_by_groups(const Context& c);
std::optional<KernelChoice> backward_weights_by_groups(const Context& c);

}  // namespace thimble::onednn
