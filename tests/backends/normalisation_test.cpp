#include <gtest/gtest.h>

#include "backends/nets.h"
#include "support/sanitizers.h"

// Batch and group norm with every fusion, on each layout that feature maps take.

namespace thimble {
namespace {

struct Norm {
  Shape images;  // (N, 3, H, W)
  int64_t channels;
  std::string activation = "none";
  bool addend = false;
  bool training = true;
  int64_t surroundings = 0;  // channels of the maps around; 0: as many
  int64_t groups = 0;        // 0: batch norm
};

// images -> conv -> norm (+ the addend, which has another reader) -> conv.
Graph net(const Norm& n) {
  const int64_t around = n.surroundings == 0 ? n.channels : n.surroundings;
  GraphBuilder b("net");
  TensorId x = b.images(n.images);
  x = b.layer("conv2d", "wide", {x}, conv(around, 3));
  x = b.layer("conv2d", "conv", {x}, conv(n.channels, 1));
  const TensorId skip = n.addend ? b.layer("conv2d", "skip", {x}, conv(n.channels, 1)) : kNoTensor;
  if (n.groups == 0) {
    x = b.layer("batch_norm", "norm", {x, skip},
                {{"activation", n.activation}, {"training", int64_t{n.training}}});
  } else {
    x = b.layer("group_norm", "norm", {x, skip},
                {{"activation", n.activation}, {"groups", n.groups}});
  }
  // Two readers: two gradients meet in the norm's backward.
  const TensorId left = b.layer("conv2d", "left", {x}, conv(around, 3));
  const TensorId right = b.layer("conv2d", "right", {x}, conv(around, 1));
  b.layer("add", "sum", {left, right});
  return b.graph();
}

void check(const Norm& n) {
  SCOPED_TRACE(str_cat(n.images, ", ", n.channels, " channels, ", n.activation,
                       n.addend ? ", addend" : "", n.training ? "" : ", frozen", ", ", n.groups,
                       " groups"));
  const Graph graph = net(n);
  check_net(graph, graph.find("sum"));
}

void check_fusions(const Shape& images, int64_t channels, int64_t surroundings = 0) {
  for (const char* activation : {"none", "relu", "relu6"}) {
    if (kSanitized && activation != std::string("relu6")) continue;
    for (bool addend : {false, true}) {
      for (bool training : {true, false}) {
        check({images, channels, activation, addend, training, surroundings});
      }
    }
  }
}

TEST(BackendBatchNorm, AgreesOnWholeChannelBlocks) { check_fusions({2, 3, 5, 4}, 32); }

TEST(BackendBatchNorm, AgreesOnChannelsLast) { check_fusions({2, 3, 5, 4}, 20); }

TEST(BackendBatchNorm, AgreesOnFewerChannelsThanABlock) { check_fusions({2, 3, 5, 4}, 3); }

TEST(BackendBatchNorm, AgreesOnATailAmongWholeBlocks) { check_fusions({2, 3, 4, 4}, 20, 256); }

TEST(BackendBatchNorm, AgreesOnOneImage) {
  check_fusions({1, 3, 3, 3}, 32);
  check_fusions({1, 3, 3, 3}, 20);
}

TEST(BackendBatchNorm, AgreesOnMapsOfOnePixel) {
  check_fusions({5, 3, 1, 1}, 32);
  check_fusions({5, 3, 1, 1}, 20);
}

// Large enough that the lines of a block are split among threads.
TEST(BackendBatchNorm, AgreesOnManyLines) {
  for (int64_t channels : {16, 40}) {
    if (kSanitized && channels > 16) continue;
    check({{3, 3, 19, 13}, channels, "relu", false});
    check({{3, 3, 19, 13}, channels, "relu6", true});
    check({{3, 3, 19, 13}, channels, "none", true, false});
  }
}

TEST(BackendBatchNorm, AgreesOnVectorsWithoutAMap) {
  for (int64_t features : {32, 20, 3}) {
    GraphBuilder b("net");
    TensorId x = b.images({6, 4, 2, 2});
    x = b.layer("flatten", "flatten", {x});
    x = b.layer("linear", "fc", {x}, {{"out_features", features}, {"bias", int64_t{0}}});
    x = b.layer("batch_norm", "norm", {x}, {{"activation", std::string("relu")}});
    check_net(b.graph(), b.layer("linear", "out", {x}, {{"out_features", int64_t{3}}}));
  }
}

void check_groups(const Shape& images, int64_t channels, int64_t groups, int64_t around = 0) {
  for (const char* activation : {"none", "relu", "relu6"}) {
    if (kSanitized && activation != std::string("relu6")) continue;
    for (bool addend : {false, true}) {
      check({images, channels, activation, addend, true, around, groups});
    }
  }
}

TEST(BackendGroupNorm, AgreesOnWholeChannelBlocks) {
  for (int64_t groups : {1, 2, 4, 16}) check_groups({2, 3, 5, 4}, 32, groups);
}

TEST(BackendGroupNorm, AgreesOnGroupsAcrossBlocks) {
  check_groups({2, 3, 5, 4}, 48, 2);  // three blocks of 16 hold two groups
  check_groups({2, 3, 5, 4}, 48, 4);
}

TEST(BackendGroupNorm, AgreesOnChannelsLast) {
  for (int64_t groups : {2, 4, 5}) check_groups({2, 3, 5, 4}, 20, groups);
  check_groups({1, 3, 3, 3}, 3, 1);
}

TEST(BackendGroupNorm, AgreesOnATailAmongWholeBlocks) {
  for (int64_t groups : {2, 5, 10}) check_groups({2, 3, 4, 4}, 20, groups, 256);
}

// Few enough units that backward's images are split among threads.
TEST(BackendGroupNorm, AgreesOnManyImages) { check_groups({5, 3, 19, 13}, 16, 2); }

TEST(BackendGroupNorm, AgreesOnVectorsWithoutAMap) {
  for (int64_t features : {32, 20}) {
    GraphBuilder b("net");
    TensorId x = b.images({6, 4, 2, 2});
    x = b.layer("flatten", "flatten", {x});
    x = b.layer("linear", "fc", {x}, {{"out_features", features}, {"bias", int64_t{0}}});
    x = b.layer("group_norm", "norm", {x},
                {{"groups", int64_t{4}}, {"activation", std::string("relu")}});
    check_net(b.graph(), b.layer("linear", "out", {x}, {{"out_features", int64_t{3}}}));
  }
}

// Nobody needs the input's gradient: only the weights' are made.
TEST(BackendBatchNorm, AgreesWhenOnlyItsWeightsAreTrained) {
  for (int64_t channels : {32, 20}) {
    for (bool training : {true, false}) {
      const Graph graph = [&] {
        GraphBuilder b("net");
        TensorId x = b.images({2, 3, 5, 4});
        x = b.layer("conv2d", "conv", {x}, conv(channels, 3));
        b.graph().tensor(b.graph().find("conv.weight")).trainable = false;
        b.layer("batch_norm", "norm", {x},
                {{"activation", std::string("relu")}, {"training", int64_t{training}}});
        return b.graph();
      }();
      check_net(graph, graph.find("norm"), false);
    }
  }
}

}  // namespace
}  // namespace thimble
