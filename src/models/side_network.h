#pragma once

#include <string>

#include "models/network.h"

namespace thimble {

// Small networks beside a frozen one: they read what its blocks read, at a quarter of the pixels,
// and are added to what its blocks make. Only they (and the head) keep what backward reads. All
// their tensors are called "side.<block>..."; their parameters are fresh, and the last scale of
// each module is zero, so that the whole begins as the backbone alone.
//
// A module: the mean of 2x2 pixels, a convolution, norm, ReLU, a 1x1 convolution, norm, and up to
// the size that the block makes. Weights are standardised (ops/standardize_weights.cpp). It runs
// up to the last norm before its block, where what it reads is there, and is small when it waits.
//
// `image` (C, H, W) is what they will run with: sizes that are upsampled to are part of a network,
// and no other image fits it.

// Rep-Net (Yang et al., CVPR 2022): batch norm, and one module for each stage: at each block but
// the first whose output has another shape than its input. The first module reads the mean of 4x4
// pixels of the image, the others what the block reads.
// `wide`: the first module works at a quarter of the image's side, as in the paper's table of
// memory, and not at an eighth, as released.
Network with_rep_net(const Network& backbone, const Shape& image, bool wide = false);

// TinyTL's lite residual modules (arXiv 2007.11622): group norm, and one for each block but the
// first.
Network with_tiny_tl(const Network& backbone, const Shape& image);

// By name: "none", "rep-net", "rep-net-wide", "tinytl". Throws UserError for another name, or when
// the network has no blocks to stand beside.
Network with_side(const Network& backbone, const std::string& side, const Shape& image);

}  // namespace thimble
