#include <algorithm>
#include <cmath>

#include "models/blocks.h"

// LeNet-5 (LeCun et al., 1998) with ReLU and max pooling; the first convolution pads, so that
// 28x28 images give the paper's sizes.

namespace thimble {
namespace {

TensorId conv_pool(GraphBuilder& b, const std::string& number, TensorId x, int64_t channels,
                   int64_t pad) {
  x = b.layer("conv2d", "conv" + number, {x},
              {{"out_channels", channels},
               {"kernel", both(5)},
               {"padding", ints({pad, pad, pad, pad})},
               {"bias", int64_t{1}}});
  x = b.layer("relu", "relu" + number, {x});
  return b.layer("max_pool", "pool" + number, {x}, {{"kernel", both(2)}, {"stride", both(2)}});
}

TensorId fully_connected(GraphBuilder& b, const std::string& number, TensorId x, int64_t features) {
  return b.layer("linear", "fc" + number, {x}, {{"out_features", features}, {"bias", int64_t{1}}});
}

Graph build(const ModelOptions& o) {
  const auto size = [&](double usual) {
    return std::max<int64_t>(1, std::llround(usual * o.width));
  };
  GraphBuilder b("lenet");
  TensorId x = input_images(b, o);
  x = conv_pool(b, "1", x, size(6), 2);
  x = conv_pool(b, "2", x, size(16), 0);
  x = b.layer("flatten", "flatten", {x});
  x = b.layer("relu", "relu3", {fully_connected(b, "1", x, size(120))});
  x = b.layer("relu", "relu4", {fully_connected(b, "2", x, size(84))});
  b.classify(fully_connected(b, "3", x, o.classes), o.label_smoothing);
  return b.graph();
}

}  // namespace

const Model& model_lenet() {
  static const Model model = {
      "lenet", "LeNet-5 with ReLU and max pooling, for 28x28 digits", {1, 28, 28, 10, 64}, 12, {},
      build};
  return model;
}

}  // namespace thimble
