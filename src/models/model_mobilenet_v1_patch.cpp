#include "models/blocks.h"

// A short MobileNet for 32x32 patches of larger images; the usual batch is the 7x7 patches of one
// 224x224 image.

namespace thimble {
namespace {

struct Block {
  int64_t channels;
  int64_t stride;
};
constexpr Block kBlocks[] = {{64, 1},  {128, 2}, {128, 1},  {256, 2},
                             {256, 1}, {512, 2}, {1024, 1}, {1024, 1}};

Graph build(const ModelOptions& o) {
  GraphBuilder b("mobilenet_v1_patch");
  TensorId x = input_images(b, o);
  x = conv_norm_act(b, o, "stem.conv", x, {scaled(32, o.width), 3}, "relu");
  int64_t number = 0;
  for (const Block& block : kBlocks) {
    x = depthwise_separable(b, o, str_cat("block", ++number), x, scaled(block.channels, o.width),
                            block.stride);
  }
  classify_pooled(b, o, x);
  return b.graph();
}

}  // namespace

const Model& model_mobilenet_v1_patch() {
  static const Model model = {"mobilenet_v1_patch",
                              "MobileNet with eight blocks, for 32x32 patches of larger images",
                              {3, 32, 32, 8, 49},
                              1,
                              {},
                              build};
  return model;
}

}  // namespace thimble
