#include "models/reversible.h"

// RevNet whose stages begin with space_to_depth instead of a convolution of stride 2 (i-RevNet,
// arXiv 1802.07088): behind the stem nothing is lost, so that no map need be kept. Each stage has
// four times the channels of the one before. As in the draft's section 3.4, with one branch for
// each half instead of the original's single one.

namespace thimble {
namespace {

Graph build(const ModelOptions& o) {
  const auto transition = [](GraphBuilder& b, const std::string& stage, Streams x) -> Streams {
    return {b.layer("space_to_depth", stage + ".pool1", {x.first}),
            b.layer("space_to_depth", stage + ".pool2", {x.second})};
  };
  return reversible_stages("irevnet", o, 32, transition);
}

}  // namespace

const Model& model_irevnet() {
  static const Model model = {"irevnet",
                              "RevNet with invertible pooling: no feature map need be kept",
                              {3, 32, 32, 10, 128},
                              8,
                              {},
                              build};
  return model;
}

}  // namespace thimble
