#include "models/mobile_net.h"

// MobileNet (arXiv 1704.04861): thirteen depthwise separable blocks.

namespace thimble {
namespace {

constexpr Separable kBlocks[] = {{64, 1},  {128, 2},  {128, 1}, {256, 2}, {256, 1},
                                 {512, 2}, {512, 1},  {512, 1}, {512, 1}, {512, 1},
                                 {512, 1}, {1024, 2}, {1024, 1}};

Graph build(const ModelOptions& o) { return mobile_net("mobilenet_v1", o, 2, kBlocks); }

}  // namespace

const Model& model_mobilenet_v1() {
  static const Model model = {"mobilenet_v1",
                              "MobileNet, thirteen depthwise separable blocks, for 224x224 images",
                              {3, 224, 224, 8, 32},
                              1,
                              {},
                              build};
  return model;
}

}  // namespace thimble
