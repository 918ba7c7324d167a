#include <algorithm>
#include <string>

#include "models/blocks.h"

// MobileNetV2 (arXiv 1801.04381) in torchvision's layout: the first block does not expand, and the
// last 1x1 convolution keeps 1280 channels in narrow nets.

namespace thimble {
namespace {

struct Group {
  int64_t expansion, channels, blocks, stride;
};
constexpr Group kGroups[] = {{1, 16, 1, 1}, {6, 24, 2, 2},  {6, 32, 3, 2}, {6, 64, 4, 2},
                             {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1}};

// Expand, filter each channel, project without activation; joined to the input when alike.
TensorId inverted_residual(GraphBuilder& b, const ModelOptions& o, const std::string& name,
                           TensorId src, int64_t expansion, int64_t channels, int64_t stride) {
  const int64_t in = b.shape(src)[1];
  const int64_t hidden = expansion * in;
  TensorId x = src;
  if (expansion != 1) x = conv_norm_act(b, o, name + ".expand.conv", x, {hidden}, "relu6");
  x = conv_norm_act(b, o, name + ".depthwise.conv", x, {hidden, 3, stride, hidden}, "relu6");
  return conv_norm_act(b, o, name + ".project.conv", x, {channels}, "none",
                       stride == 1 && in == channels ? src : kNoTensor);
}

Graph build(const ModelOptions& o) {
  GraphBuilder b("mobilenet_v2");
  TensorId x = input_images(b, o);
  x = conv_norm_act(b, o, "stem.conv", x, {scaled(32, o.width), 3, 2}, "relu6");
  int64_t number = 0;
  for (const Group& group : kGroups) {
    for (int64_t block = 0; block < group.blocks; ++block) {
      x = inverted_residual(b, o, str_cat("block", ++number), x, group.expansion,
                            scaled(group.channels, o.width), block == 0 ? group.stride : 1);
    }
  }
  const int64_t last = scaled(1280, std::max(1.0, o.width));
  x = conv_norm_act(b, o, "head.conv", x, {last}, "relu6");
  classify_pooled(b, o, x, number_of(o, "dropout"));
  return b.graph();
}

}  // namespace

const Model& model_mobilenet_v2() {
  static const Model model = {
      "mobilenet_v2",
      "MobileNetV2, seventeen inverted residual blocks, for 224x224 images",
      {3, 224, 224, 1000, 32},
      1,
      {{"dropout", "0", {}, "probability before the classifier; torchvision trains with 0.2"}},
      build};
  return model;
}

}  // namespace thimble
