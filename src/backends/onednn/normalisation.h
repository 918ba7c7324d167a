#pragma once

#include "backends/onednn/onednn.h"
#include "backends/onednn/vector/vector.h"

// How the kernels of batch and group normalisation see their tensors.

namespace thimble::onednn {

vector::View view_of(const Context& c, const Shape& s);
vector::Activation activation_of(const Attributes& a);

// Of src and all that has its shape: the graph's format, or plain for vectors without a map.
Layout normalised_layout(const Context& c, const Shape& s);
// Bits by line and block: only these kernels read them.
Layout mask_layout(const vector::View& v);

// Layouts of a forward node (src, addend; dst, mask) and of a backward node (src, diff_dst,
// diff_dst_2, dst, mask; diff_src, diff_addend); the rest plain.
KernelChoice forward_choice(const Context& c, const vector::View& v);
KernelChoice backward_choice(const Context& c, const vector::View& v);

// The addresses of a backward node; `args` comes without any.
vector::NormBackward with_addresses(vector::NormBackward args, const KernelBuffers& b);

}  // namespace thimble::onednn
