#include "models/reversible.h"

// ResNet-18 for 32x32 images with reversible blocks (arXiv 1707.04585): in each stage two couplings
// of halves of the channels. Between stages a convolution of stride 2 on each half, which cannot be
// inverted: what comes into it is kept.

namespace thimble {
namespace {

Graph build(const ModelOptions& o) {
  const auto transition = [&](GraphBuilder& b, const std::string& stage, Streams x) -> Streams {
    const Conv down = {2 * b.shape(x.first)[1], 3, 2};
    const TensorId first = conv_norm_act(b, o, stage + ".down1.conv", x.first, down, "relu");
    return {first, conv_norm_act(b, o, stage + ".down2.conv", x.second, down, "relu")};
  };
  return reversible_stages("revnet18", o, 64, transition);
}

}  // namespace

const Model& model_revnet18() {
  static const Model model = {
      "revnet18", "ResNet-18 with reversible blocks, for 32x32 images", {3, 32, 32, 10, 128}, 1, {},
      build};
  return model;
}

}  // namespace thimble
