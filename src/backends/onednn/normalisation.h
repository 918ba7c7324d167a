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

// Layouts of a forward node or its inverse (src, addend; dst, and a mask as output number `mask`)
// and of a backward node (src, diff_dst,
// diff_dst_2, dst, mask; diff_src, diff_addend); the rest plain.
KernelChoice forward_choice(const Context& c, const vector::View& v, size_t mask = 3);
KernelChoice backward_choice(const Context& c, const vector::View& v);

// The addresses of a backward node; `args` comes without any.
template <class S>
vector::NormBackward<S> with_addresses(vector::NormBackward<S> args, const KernelBuffers& b) {
  const auto in = [&](size_t i) { return i < b.inputs.size() ? b.inputs[i] : nullptr; };
  // What stands in for an absent src is read, but makes nothing: that of a frozen norm, whose
  // diff_gamma nobody wants.
  args.src = static_cast<S*>(in(0) != nullptr ? in(0) : in(1));
  args.diff_dst = static_cast<S*>(in(1));
  args.diff_dst_2 = static_cast<S*>(in(2));
  args.gamma = static_cast<float*>(in(3));
  args.beta = static_cast<float*>(in(4));
  args.mean = static_cast<float*>(in(5));
  args.inv_std = static_cast<float*>(in(6));
  args.dst = static_cast<S*>(in(7));
  args.mask = static_cast<const uint8_t*>(in(8));
  args.diff_src = static_cast<S*>(b.outputs[0]);
  args.diff_addend = static_cast<S*>(b.outputs[1]);
  args.diff_gamma = static_cast<float*>(b.outputs[2]);
  args.diff_beta = static_cast<float*>(b.outputs[3]);
  return args;
}

}  // namespace thimble::onednn
