#include "models/reversible.h"

// RevNet whose stages begin with space_to_depth instead of a convolution of stride 2 (i-RevNet,
// arXiv 1802.07088): behind the stem nothing is lost, so that no map need be kept. Each stage has
// four times the channels of the one before. As in the draft's section 3.4, with one branch for
// each half instead of the original's single one.

namespace thimble {
namespace {

Graph build(const ModelOptions& o) {
  GraphBuilder b("irevnet");
  const TensorId stem =
      conv_norm_act(b, o, "stem.conv", input_images(b, o), {scaled(32, o.width), 3}, "relu");
  Streams x = split_channels(b, "stem.split", stem);
  const Branch branch = [&](const std::string& name, TensorId src) {
    return two_convs(b, o, name, src);
  };
  for (int64_t stage = 1; stage <= 4; ++stage) {
    const std::string name = str_cat("stage", stage);
    if (stage > 1) {
      x.first = b.layer("space_to_depth", name + ".pool1", {x.first});
      x.second = b.layer("space_to_depth", name + ".pool2", {x.second});
    }
    for (const char* block : {".block1", ".block2"}) x = couple(b, name + block, x, branch);
  }
  x.first = norm_act(b, o, "head.norm1", x.first, "relu");
  x.second = norm_act(b, o, "head.norm2", x.second, "relu");
  classify_streams(b, o, x);
  return b.graph();
}

}  // namespace

const Model& model_irevnet() {
  static const Model model = {"irevnet",
                              "RevNet with invertible pooling: no feature map need be kept",
                              {3, 32, 32, 10, 128},
                              8,
                              {},
                              build};
  return model;
}

}  // namespace thimble
