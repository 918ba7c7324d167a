#include "models/reversible.h"

// Every layer behind the stem can be inverted by itself (arXiv 1910.11127, section 4.1): a
// convolution is a coupling of halves of the channels, one 3x3 convolution for each, then come
// batch norm and leaky ReLU. After a third and two thirds of the layers space_to_depth makes four
// times the channels. The fewest bytes of all, but each layer on the way back makes what is had
// again noisier.

namespace thimble {
namespace {

constexpr double kLeastSlope = 0.001;

Graph build(const ModelOptions& o) {
  GraphBuilder b("layerwise_invertible");
  const auto depth = static_cast<int64_t>(number_of(o, "depth"));
  const double slope = number_of(o, "slope");
  require(slope >= kLeastSlope, "option slope is ", slope, ", needs ", kLeastSlope,
          " or more: what is below zero would be lost");
  const auto activated = [&](const std::string& name, TensorId src) {
    return norm_act(b, o, name, src, "leaky_relu", kNoTensor, slope);
  };
  const auto conv = [&](const std::string& name, TensorId src, int64_t channels) {
    return b.layer(
        "conv2d", name, {src},
        {{"out_channels", channels}, {"kernel", both(3)}, {"padding", ints({1, 1, 1, 1})}});
  };
  const TensorId stem = conv("stem.conv", input_images(b, o), scaled(32, o.width));
  Streams x = split_channels(b, "stem.split", activated("stem.norm", stem));
  for (int64_t i = 0; i < depth; ++i) {
    const std::string name = str_cat("layer", i + 1);
    if (i > 0 && (i == depth / 3 || i == 2 * depth / 3)) {
      x.first = b.layer("space_to_depth", name + ".pool1", {x.first});
      x.second = b.layer("space_to_depth", name + ".pool2", {x.second});
    }
    x = couple(b, name, x, [&](const std::string& branch, TensorId src) {
      return conv(branch + ".conv", src, b.shape(src)[1]);
    });
    x.first = activated(name + ".norm1", x.first);
    x.second = activated(name + ".norm2", x.second);
  }
  classify_streams(b, o, x);
  return b.graph();
}

}  // namespace

const Model& model_layerwise_invertible() {
  static const Model model = {
      "layerwise_invertible",
      "every layer can be inverted: bytes do not grow with depth, but errors do",
      {3, 32, 32, 10, 128},
      4,
      {{"depth", "6", {}, "coupled convolutions, each with batch norm and leaky ReLU", 256},
       {"slope", "0.2", {}, "of leaky ReLU below zero: larger ones lose less on the way back"}},
      build};
  return model;
}

}  // namespace thimble
