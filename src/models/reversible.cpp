#include "models/reversible.h"

namespace thimble {

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

TensorId two_convs(GraphBuilder& b, const ModelOptions& o, const std::string& name, TensorId src) {
  const int64_t channels = b.shape(src)[1];
  src = conv_norm_act(b, o, name + ".conv1", src, {channels, 3}, "relu");
  return conv_norm_act(b, o, name + ".conv2", src, {channels, 3}, "relu");
}

void classify_streams(GraphBuilder& b, const ModelOptions& o, Streams src) {
  const TensorId first = b.layer("global_average_pool", "pool1", {src.first});
  const TensorId second = b.layer("global_average_pool", "pool2", {src.second});
  TensorId x = b.layer("concat", "join", {first, second});
  x = b.layer("flatten", "flatten", {x});
  x = b.layer("linear", "fc", {x}, {{"out_features", o.classes}, {"bias", int64_t{1}}});
  b.classify(x, o.label_smoothing);
}

}  // namespace thimble
