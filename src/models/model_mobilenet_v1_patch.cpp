#include "models/mobile_net.h"

// A short MobileNet for 32x32 patches of larger images; the usual batch is the 7x7 patches of one
// 224x224 image.

namespace thimble {
namespace {

constexpr Separable kBlocks[] = {{64, 1},  {128, 2}, {128, 1},  {256, 2},
                                 {256, 1}, {512, 2}, {1024, 1}, {1024, 1}};

Graph build(const ModelOptions& o) { return mobile_net("mobilenet_v1_patch", o, 1, kBlocks); }

}  // namespace

const Model& model_mobilenet_v1_patch() {
  static const Model model = {"mobilenet_v1_patch",
                              "MobileNet with eight blocks, for 32x32 patches of larger images",
                              {3, 32, 32, 8, 49},
                              1,
                              {},
                              build};
  return model;
}

}  // namespace thimble
