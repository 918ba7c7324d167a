#include "models/blocks.h"

// ResNet-18 (arXiv 1512.03385) with a 3x3 stem and no pooling before the stages, as is usual for
// 32x32 images.

namespace thimble {
namespace {

const std::string& activation_of(const ModelOptions& o) { return o.variants.at("activation"); }

TensorId basic_block(GraphBuilder& b, const ModelOptions& o, const std::string& name, TensorId x,
                     int64_t channels, int64_t stride) {
  TensorId shortcut = x;
  if (stride != 1 || b.shape(x)[1] != channels) {
    shortcut = conv_norm_act(b, o, name + ".downsample.conv", x, {channels, 1, stride}, "none");
  }
  x = conv_norm_act(b, o, name + ".conv1", x, {channels, 3, stride}, activation_of(o));
  return conv_norm_act(b, o, name + ".conv2", x, {channels, 3}, activation_of(o), shortcut);
}

Graph build(const ModelOptions& o) {
  GraphBuilder b("resnet18_cifar");
  TensorId x = input_images(b, o);
  x = conv_norm_act(b, o, "stem.conv", x, {scaled(64, o.width), 3}, activation_of(o));
  for (int64_t stage = 1; stage <= 4; ++stage) {
    const int64_t channels = scaled(64 << (stage - 1), o.width);
    const std::string name = str_cat("stage", stage, ".block");
    x = basic_block(b, o, name + "1", x, channels, stage == 1 ? 1 : 2);
    x = basic_block(b, o, name + "2", x, channels, 1);
  }
  classify_pooled(b, o, x);
  return b.graph();
}

}  // namespace

const Model& model_resnet18_cifar() {
  static const Model model = {
      "resnet18_cifar",
      "ResNet-18 with a 3x3 stem, for 32x32 images",
      {3, 32, 32, 10, 128},
      1,
      {{"activation",
        "relu",
        {"relu", "leaky_relu"},
        "leaky_relu: slope 0.01, and batch norms scale by |gamma| + 0.1, so "
        "that both can be inverted (In-Place ABN)"}},
      build};
  return model;
}

}  // namespace thimble
