#include "models/reversible.h"

#include <cmath>

namespace thimble {
namespace {

constexpr double kLeastSlope = 0.001;

// A residual branch of two 3x3 convolutions of as many channels as come in, each with
// normalisation and ReLU.
TensorId two_convs(GraphBuilder& b, const ModelOptions& o, const std::string& name, TensorId src) {
  const int64_t channels = b.shape(src)[1];
  src = conv_norm_act(b, o, name + ".conv1", src, {channels, 3}, "relu");
  return conv_norm_act(b, o, name + ".conv2", src, {channels, 3}, "relu");
}

}  // namespace

Streams split_channels(GraphBuilder& b, const std::string& name, TensorId src) {
  const int64_t half = b.shape(src)[1] / 2;
  const auto halves = b.layer_outputs("split", name, {src}, {{"sizes", ints({half, half})}});
  return {halves[0], halves[1]};
}

Streams couple(GraphBuilder& b, const std::string& name, Streams x, const Branch& branch) {
  x.first = b.layer("add", name + ".add1", {x.first, branch(name + ".f", x.second)});
  x.second = b.layer("add", name + ".add2", {x.second, branch(name + ".g", x.first)});
  return x;
}

Streams invertible_layer(GraphBuilder& b, const ModelOptions& o, const std::string& name, Streams x,
                         double slope) {
  x = couple(b, name, x, [&](const std::string& branch, TensorId src) {
    return conv3x3(b, branch + ".conv", src, b.shape(src)[1]);
  });
  x.first = norm_act(b, o, name + ".norm1", x.first, "leaky_relu", kNoTensor, slope);
  x.second = norm_act(b, o, name + ".norm2", x.second, "leaky_relu", kNoTensor, slope);
  return x;
}

TensorId invertible_stem(GraphBuilder& b, const ModelOptions& o, const std::string& name,
                         TensorId images, int64_t channels, double slope) {
  const TensorId x = conv3x3(b, name + ".conv", images, channels);
  return norm_act(b, o, name + ".norm", x, "leaky_relu", kNoTensor, slope);
}

double invertible_slope(const ModelOptions& o) {
  const double slope = number_of(o, "slope");
  require(slope >= kLeastSlope, "option slope is ", slope, ", needs ", kLeastSlope,
          " or more: what is below zero would be lost");
  return slope;
}

TensorId pooled_before(GraphBuilder& b, const ModelOptions& o, const std::string& name,
                       TensorId src, int64_t i, int64_t depth) {
  if (i == 0 || (i != depth / 3 && i != 2 * depth / 3)) return src;
  const std::string& pools = o.variants.at("pools");
  const bool first = i == depth / 3;
  const bool channels = pools == "channel" || (pools == "alternate" && first);
  return b.layer(channels ? "space_to_depth" : "space_to_batch", name, {src});
}

TensorId joined_examples(GraphBuilder& b, const ModelOptions& o, const std::string& name,
                         TensorId src) {
  for (int64_t i = 1; b.shape(src)[0] > o.batch; ++i) {
    src = b.layer("batch_to_space", str_cat(name, i), {src});
  }
  return src;
}

TensorId conv3x3(GraphBuilder& b, const std::string& name, TensorId src, int64_t channels) {
  const TensorId dst =
      b.layer("conv2d", name, {src},
              {{"out_channels", channels}, {"kernel", both(3)}, {"padding", ints({1, 1, 1, 1})}});
  const auto fan_in = static_cast<double>(9 * b.shape(src)[1]);
  b.graph().tensor(b.graph().find(name + ".weight")).init = {Init::Kind::uniform,
                                                             1 / std::sqrt(fan_in)};
  return dst;
}

void classify_streams(GraphBuilder& b, const ModelOptions& o,
                      const std::vector<TensorId>& streams) {
  std::vector<TensorId> means;
  for (TensorId stream : streams) {
    means.push_back(b.layer("global_average_pool", str_cat("pool", means.size() + 1), {stream}));
  }
  TensorId x = b.layer("concat", "join", means);
  x = b.layer("flatten", "flatten", {x});
  x = b.layer("linear", "fc", {x}, {{"out_features", o.classes}, {"bias", int64_t{1}}});
  b.classify(x, o.label_smoothing);
}

Graph reversible_stages(const std::string& name, const ModelOptions& o, int64_t channels,
                        const Transition& transition) {
  GraphBuilder b(name);
  const TensorId stem =
      conv_norm_act(b, o, "stem.conv", input_images(b, o), {scaled(channels, o.width), 3}, "relu");
  Streams x = split_channels(b, "stem.split", stem);
  const Branch branch = [&](const std::string& layer, TensorId src) {
    return two_convs(b, o, layer, src);
  };
  for (int64_t i = 1; i <= 4; ++i) {
    const std::string stage = str_cat("stage", i);
    if (i > 1) x = transition(b, stage, x);
    for (const char* block : {".block1", ".block2"}) x = couple(b, stage + block, x, branch);
  }
  x.first = norm_act(b, o, "head.norm1", x.first, "relu");
  x.second = norm_act(b, o, "head.norm2", x.second, "relu");
  classify_streams(b, o, {x.first, x.second});
  return b.graph();
}

}  // namespace thimble
