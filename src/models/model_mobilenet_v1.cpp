#include "models/blocks.h"

// MobileNet (arXiv 1704.04861): thirteen depthwise separable blocks.

namespace thimble {
namespace {

struct Block {
  int64_t channels;
  int64_t stride;
};
constexpr Block kBlocks[] = {{64, 1},  {128, 2}, {128, 1}, {256, 2}, {256, 1},  {512, 2}, {512, 1},
                             {512, 1}, {512, 1}, {512, 1}, {512, 1}, {1024, 2}, {1024, 1}};

Graph build(const ModelOptions& o) {
  GraphBuilder b("mobilenet_v1");
  TensorId x = input_images(b, o);
  x = conv_norm_act(b, o, "stem.conv", x, {scaled(32, o.width), 3, 2}, "relu");
  int64_t number = 0;
  for (const Block& block : kBlocks) {
    x = depthwise_separable(b, o, str_cat("block", ++number), x, scaled(block.channels, o.width),
                            block.stride);
  }
  classify_pooled(b, o, x);
  return b.graph();
}

}  // namespace

const Model& model_mobilenet_v1() {
  static const Model model = {"mobilenet_v1",
                              "MobileNet, thirteen depthwise separable blocks, for 224x224 images",
                              {3, 224, 224, 8, 32},
                              1,
                              {},
                              build};
  return model;
}

}  // namespace thimble
