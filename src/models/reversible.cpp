#include "models/reversible.h"

namespace thimble {
namespace {

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

void classify_streams(GraphBuilder& b, const ModelOptions& o, Streams src) {
  const TensorId first = b.layer("global_average_pool", "pool1", {src.first});
  const TensorId second = b.layer("global_average_pool", "pool2", {src.second});
  TensorId x = b.layer("concat", "join", {first, second});
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
  classify_streams(b, o, x);
  return b.graph();
}

}  // namespace thimble
