#include "models/reversible.h"

// ResNet-18 for 32x32 images with reversible blocks (arXiv 1707.04585): in each stage two couplings
// of halves of the channels. Between stages a convolution of stride 2 on each half, which cannot be
// inverted: what comes into it is kept.

namespace thimble {
namespace {

Graph build(const ModelOptions& o) {
  GraphBuilder b("revnet18");
  const TensorId stem =
      conv_norm_act(b, o, "stem.conv", input_images(b, o), {scaled(64, o.width), 3}, "relu");
  Streams x = split_channels(b, "stem.split", stem);
  const Branch branch = [&](const std::string& name, TensorId src) {
    return two_convs(b, o, name, src);
  };
  for (int64_t stage = 1; stage <= 4; ++stage) {
    const std::string name = str_cat("stage", stage);
    if (stage > 1) {
      const Conv down = {2 * b.shape(x.first)[1], 3, 2};
      x.first = conv_norm_act(b, o, name + ".down1.conv", x.first, down, "relu");
      x.second = conv_norm_act(b, o, name + ".down2.conv", x.second, down, "relu");
    }
    for (const char* block : {".block1", ".block2"}) x = couple(b, name + block, x, branch);
  }
  x.first = norm_act(b, o, "head.norm1", x.first, "relu");
  x.second = norm_act(b, o, "head.norm2", x.second, "relu");
  classify_streams(b, o, x);
  return b.graph();
}

}  // namespace

const Model& model_revnet18() {
  static const Model model = {
      "revnet18", "ResNet-18 with reversible blocks, for 32x32 images", {3, 32, 32, 10, 128}, 1, {},
      build};
  return model;
}

}  // namespace thimble
