#include "models/reversible.h"

// Every layer behind the stem can be inverted by itself (arXiv 1910.11127, section 4.1): a
// convolution is a coupling of halves of the channels, one 3x3 convolution for each, then come
// batch norm and leaky ReLU. The fewest bytes of all, but each layer on the way back makes what is
// had again noisier.

namespace thimble {
namespace {

Graph build(const ModelOptions& o) {
  GraphBuilder b("layerwise_invertible");
  const auto depth = static_cast<int64_t>(number_of(o, "depth"));
  const double slope = invertible_slope(o);
  const TensorId images = input_images(b, o);
  const int64_t half = scaled(32, o.width) / 2;
  const auto stem = [&](const std::string& name) {
    return invertible_stem(b, o, name, images, half, slope);
  };
  Streams x = {stem("stem1"), stem("stem2")};
  for (int64_t i = 0; i < depth; ++i) {
    const std::string name = str_cat("layer", i + 1);
    x.first = pooled_before(b, o, name + ".pool1", x.first, i, depth);
    x.second = pooled_before(b, o, name + ".pool2", x.second, i, depth);
    x = invertible_layer(b, o, name, x, slope);
  }
  classify_streams(b, o,
                   {joined_examples(b, o, "examples1.join", x.first),
                    joined_examples(b, o, "examples2.join", x.second)});
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
       kSlopeVariant,
       kPoolsVariant},
      build};
  return model;
}

}  // namespace thimble
