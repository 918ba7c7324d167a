#include <gtest/gtest.h>

#include "backends/nets.h"

// Convolutions between two others, so that their input and output have the layout that a backend
// likes. Channel counts that fill blocks of 8 and 16, that leave a tail, and that fill none.

namespace thimble {
namespace {

struct Middle {
  int64_t in, out;  // channels
  Attributes attributes;
  int64_t height = 7, width = 6, batch = 2;
};

// images (N, 3, H, W) -> in -> [middle] -> out -> 16.
Graph net(const Middle& m) {
  GraphBuilder b("net");
  TensorId x = b.images({m.batch, 3, m.height, m.width});
  x = b.layer("conv2d", "first", {x}, conv(m.in, 3, {kBias}));
  x = b.layer("conv2d", "middle", {x}, m.attributes);
  b.layer("conv2d", "last", {x}, conv(16, 1));
  return b.graph();
}

void check(const Middle& m) {
  const Graph graph = net(m);
  check_net(graph, graph.find("last"));
}

TEST(BackendConvolution, AgreesOnWholeChannelBlocks) {
  check({16, 32, conv(32, 3)});
  check({32, 16, conv(16, 1, {kBias})});
  check({64, 64, conv(64, 3, {kBias, {"stride", both(2)}})});
}

TEST(BackendConvolution, AgreesOnChannelTails) {
  check({24, 40, conv(40, 3, {kBias})});
  check({20, 36, conv(36, 3)});
  check({5, 7, conv(7, 3, {kBias})});
  check({1, 1, conv(1, 3)});
}

TEST(BackendConvolution, AgreesOnDepthwise) {
  for (int64_t channels : {16, 24, 32, 8, 3}) {
    SCOPED_TRACE(channels);
    check({channels, channels, depthwise(channels, 3)});
    check({channels, channels, depthwise(channels, 3, {kBias, {"stride", both(2)}})});
    check({channels, channels, depthwise(channels, 5)});
  }
}

TEST(BackendConvolution, AgreesOnWeightsLargerThanTheMaps) {
  for (int64_t batch : {1, 2}) {
    check({64, 1280, conv(1280, 1), 2, 2, batch});
    check({128, 128, conv(128, 5, {{"groups", int64_t{2}}}), 3, 3, batch});
    check({96, 1024, conv(1024, 1, {kBias, {"stride", both(2)}}), 3, 3, batch});
  }
}

TEST(BackendConvolution, AgreesOnGroups) {
  check({32, 32, conv(32, 3, {{"groups", int64_t{2}}})});
  check({32, 64, conv(64, 3, {kBias, {"groups", int64_t{4}}})});
  check({24, 12, conv(12, 3, {{"groups", int64_t{3}}})});
  check({6, 12, conv(12, 3, {kBias, {"groups", int64_t{6}}})});
  check({24, 40, conv(40, 5, {kBias, {"groups", int64_t{2}}})});
  check({20, 30, conv(30, 3, {{"groups", int64_t{5}}, {"stride", both(2)}})});
}

TEST(BackendConvolution, AgreesOnStrideAndDilation) {
  check({16, 32, conv(32, 3, {{"stride", ints({3, 2})}})});
  check({16, 32, conv(32, 1, {{"stride", both(2)}})});
  check(
      {16, 32, conv(32, 3, {kBias, {"dilation", ints({2, 1})}, {"padding", ints({2, 1, 2, 1})}})});
  check({24, 20, conv(20, 3, {{"dilation", both(2)}, {"stride", both(2)}})});
  check({16, 16, depthwise(16, 3, {{"dilation", both(2)}, {"padding", ints({2, 2, 2, 2})}})});
}

TEST(BackendConvolution, AgreesOnAsymmetricPadding) {
  check({16, 32, conv(32, 3, {{"padding", ints({0, 1, 2, 0})}})});
  check({16, 32, conv(32, 3, {{"padding", ints({1, 0, 0, 2})}, {"stride", both(2)}, kBias})});
  check({24, 24, depthwise(24, 3, {{"padding", ints({0, 0, 1, 1})}, {"stride", both(2)}})});
  check({5, 5, conv(5, 3, {{"padding", ints({2, 0, 0, 1})}})});
}

TEST(BackendConvolution, AgreesOnOnePixel) {
  check({16, 32, conv(32, 1), 1, 1});
  check({16, 32, conv(32, 3), 1, 1});
  check({24, 20, conv(20, 3, {kBias}), 1, 1});
  check({24, 24, depthwise(24, 3), 1, 1});
}

// Nets that read images of 1, 3 and 4 channels, and one that reads more than a block.
TEST(BackendConvolution, AgreesOnTheFirstLayer) {
  for (int64_t images : {1, 2, 3, 4, 5, 17, 32}) {
    for (int64_t channels : {32, 20, 6}) {
      SCOPED_TRACE(str_cat(images, " -> ", channels));
      for (bool by_images : {false, true}) {
        GraphBuilder b("net");
        TensorId x = b.images({2, images, 9, 8});
        x = b.layer("conv2d", "first", {x}, conv(channels, 3, {{"stride", both(2)}}));
        check_net(b.graph(), b.layer("conv2d", "last", {x}, conv(16, 1)), by_images);
      }
    }
  }
}

TEST(BackendConvolution, AgreesOnOneImage) {
  GraphBuilder b("net");
  TensorId x = b.images({1, 3, 12, 12});
  x = b.layer("conv2d", "a", {x}, conv(32, 3, {{"stride", both(2)}}));
  x = b.layer("conv2d", "b", {x}, depthwise(32, 3));
  check_net(b.graph(), b.layer("conv2d", "c", {x}, conv(64, 1)));
}

// One map with a tail among wide ones: padded in a net whose maps are blocked.
TEST(BackendConvolution, AgreesOnATailAmongWholeBlocks) {
  GraphBuilder b("net");
  TensorId x = b.images({2, 3, 6, 6});
  x = b.layer("conv2d", "a", {x}, conv(128, 3));
  x = b.layer("conv2d", "b", {x}, conv(20, 1, {kBias}));
  x = b.layer("conv2d", "c", {x}, depthwise(20, 3));
  check_net(b.graph(), b.layer("conv2d", "d", {x}, conv(256, 3)));
}

TEST(BackendConvolution, AgreesWhenAWeightIsShared) {
  GraphBuilder b("net");
  TensorId x = b.images({2, 16, 5, 5});
  x = b.layer("conv2d", "a", {x}, conv(16, 3));
  const TensorId weights = b.graph().find("a.weight");
  x = b.layer("conv2d", "b", {x, weights}, conv(16, 3));
  check_net(b.graph(), x);
}

}  // namespace
}  // namespace thimble
