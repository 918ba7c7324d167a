#include "models/blocks.h"

#include <algorithm>
#include <numeric>

namespace thimble {
namespace {

// PyTorch's values, of every normalisation.
constexpr double kEpsilon = 1e-5;
constexpr double kMomentum = 0.1;  // share of a new batch in the running statistics
constexpr int64_t kGroupChannels = 8;
// Of batch norms before leaky_relu. Dividing by it costs f32 one digit.
constexpr double kScaleFloor = 0.1;

std::string norm_name(std::string conv_name) {
  const size_t at = conv_name.rfind("conv");
  ensure(at != std::string::npos, "'", conv_name, "' does not name a convolution");
  return conv_name.replace(at, 4, "norm");
}

// Eight channels a group, or the largest power of two that divides the channels.
int64_t groups_of(int64_t channels) { return channels / std::gcd(channels, kGroupChannels); }

}  // namespace

int64_t scaled(int64_t channels, double width) {
  const double wanted = static_cast<double>(channels) * width;
  const int64_t nearest = std::max<int64_t>(8, static_cast<int64_t>(wanted + 4) / 8 * 8);
  return static_cast<double>(nearest) < 0.9 * wanted ? nearest + 8 : nearest;
}

TensorId input_images(GraphBuilder& b, const ModelOptions& o) {
  return b.images({o.batch, o.channels, o.height, o.width_px});
}

TensorId conv_norm_act(GraphBuilder& b, const ModelOptions& o, const std::string& name,
                       TensorId src, const Conv& conv, const std::string& activation,
                       TensorId addend) {
  const int64_t pad = conv.kernel / 2;
  const TensorId x = b.layer("conv2d", name, {src},
                             {{"out_channels", conv.out_channels},
                              {"kernel", both(conv.kernel)},
                              {"stride", both(conv.stride)},
                              {"padding", ints({pad, pad, pad, pad})},
                              {"groups", conv.groups}});
  return norm_act(b, o, norm_name(name), x, activation, addend);
}

TensorId norm_act(GraphBuilder& b, const ModelOptions& o, const std::string& name, TensorId src,
                  const std::string& activation, TensorId addend, double slope) {
  Attributes attributes = {{"epsilon", kEpsilon}, {"activation", activation}};
  if (slope > 0) attributes.set("slope", slope);
  if (o.norm == "group") {
    attributes.set("groups", groups_of(b.shape(src)[1]));
    return b.layer("group_norm", name, {src, addend}, attributes);
  }
  attributes.set("training", int64_t{o.norm == "batch"});
  attributes.set("momentum", kMomentum);
  attributes.set("scale_floor", activation == "leaky_relu" ? kScaleFloor : 0.0);
  return b.layer("batch_norm", name, {src, addend}, attributes);
}

void classify_pooled(GraphBuilder& b, const ModelOptions& o, TensorId src, double dropout) {
  TensorId x = b.layer("global_average_pool", "pool", {src});
  x = b.layer("flatten", "flatten", {x});
  if (dropout > 0) x = b.layer("dropout", "dropout", {x}, {{"probability", dropout}});
  x = b.layer("linear", "fc", {x}, {{"out_features", o.classes}, {"bias", int64_t{1}}});
  b.classify(x, o.label_smoothing);
}

}  // namespace thimble
