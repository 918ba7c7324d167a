#include "models/mobile_net.h"

namespace thimble {

Graph mobile_net(const std::string& name, const ModelOptions& o, int64_t stem_stride,
                 std::span<const Separable> blocks) {
  GraphBuilder b(name);
  TensorId x = conv_norm_act(b, o, "stem.conv", input_images(b, o),
                             {scaled(32, o.width), 3, stem_stride}, "relu");
  int64_t number = 0;
  for (const Separable& block : blocks) {
    const std::string prefix = str_cat("block", ++number);
    const int64_t in = b.shape(x)[1];
    x = conv_norm_act(b, o, prefix + ".depthwise.conv", x, {in, 3, block.stride, in}, "relu");
    x = conv_norm_act(b, o, prefix + ".pointwise.conv", x, {scaled(block.channels, o.width)},
                      "relu");
  }
  classify_pooled(b, o, x);
  return b.graph();
}

}  // namespace thimble
