#include <gtest/gtest.h>

#include "backends/nets.h"

// Every other op between convolutions, whose layouts are not plain.

namespace thimble {
namespace {

// Blocked, channels last, and a tail among whole blocks: (channels, channels around).
const std::vector<std::pair<int64_t, int64_t>> kWidths = {{32, 32}, {20, 20}, {20, 256}, {3, 3}};

using Layers = std::function<TensorId(GraphBuilder&, TensorId)>;

// `layers` must keep maps of rank 4.
void check_between(const Layers& layers, const Shape& images = {2, 3, 7, 6}) {
  for (const auto& [channels, around] : kWidths) {
    SCOPED_TRACE(str_cat(channels, " channels among ", around));
    GraphBuilder b("net");
    TensorId x = b.images(images);
    x = b.layer("conv2d", "wide", {x}, conv(around, 1));
    x = layers(b, b.layer("conv2d", "before", {x}, conv(channels, 1)));
    check_net(b.graph(), b.layer("conv2d", "after", {x}, conv(around, 1)));
  }
}

TEST(BackendMaps, ActivationsAgree) {
  for (const char* op : {"relu", "relu6", "leaky_relu", "silu", "hard_swish", "gelu"}) {
    SCOPED_TRACE(op);
    check_between([&](GraphBuilder& b, TensorId x) { return b.layer(op, "act", {x}); });
  }
}

TEST(BackendMaps, DropoutAgrees) {
  check_between([](GraphBuilder& b, TensorId x) { return b.layer("dropout", "drop", {x}); });
}

TEST(BackendMaps, AdditionAndProductAgree) {
  for (const char* op : {"add", "mul"}) {
    SCOPED_TRACE(op);
    check_between([&](GraphBuilder& b, TensorId x) {
      const TensorId side = b.layer("relu", "side", {x});
      return b.layer(op, "both", {x, side});
    });
    check_between([&](GraphBuilder& b, TensorId x) { return b.layer(op, "twice", {x, x}); });
  }
}

TEST(BackendMaps, MaxPoolingAgrees) {
  check_between([](GraphBuilder& b, TensorId x) {
    return b.layer("max_pool", "pool", {x}, {{"kernel", both(2)}, {"stride", both(2)}});
  });
  check_between([](GraphBuilder& b, TensorId x) {
    return b.layer("max_pool", "pool", {x},
                   {{"kernel", both(3)}, {"stride", both(2)}, {"padding", ints({1, 1, 1, 1})}});
  });
  check_between([](GraphBuilder& b, TensorId x) {
    return b.layer(
        "max_pool", "pool", {x},
        {{"kernel", ints({2, 3})}, {"stride", both(1)}, {"padding", ints({0, 1, 1, 0})}});
  });
}

TEST(BackendMaps, AveragePoolingAgrees) {
  for (int64_t count_padding : {0, 1}) {
    check_between([&](GraphBuilder& b, TensorId x) {
      return b.layer("average_pool", "pool", {x},
                     {{"kernel", both(3)},
                      {"stride", both(2)},
                      {"padding", ints({1, 1, 1, 1})},
                      {"count_include_pad", count_padding}});
    });
  }
}

TEST(BackendMaps, GlobalPoolingAgrees) {
  check_between(
      [](GraphBuilder& b, TensorId x) { return b.layer("global_average_pool", "pool", {x}); });
}

TEST(BackendMaps, GroupNormAgrees) {
  check_between([](GraphBuilder& b, TensorId x) {
    return b.layer("group_norm", "norm", {x}, {{"groups", int64_t{1}}});
  });
}

TEST(BackendMaps, PaddingConcatenatingAndSplittingAgree) {
  check_between([](GraphBuilder& b, TensorId x) {
    return b.layer("pad", "pad", {x}, {{"padding", ints({1, 0, 2, 1})}});
  });
  check_between([](GraphBuilder& b, TensorId x) {
    const TensorId y = b.layer("relu", "relu", {x});
    return b.layer("concat", "concat", {x, y});
  });
  check_between([](GraphBuilder& b, TensorId x) {
    const int64_t channels = b.shape(x)[1];
    return b.layer_outputs("split", "split", {x}, {{"sizes", ints({1, channels - 1})}})[1];
  });
}

TEST(BackendMaps, FlattenedMapsAgree) {
  for (const auto& [channels, around] : kWidths) {
    for (const Shape& images : {Shape{3, 3, 4, 5}, Shape{3, 3, 1, 1}}) {
      SCOPED_TRACE(str_cat(channels, " channels, ", images));
      GraphBuilder b("net");
      TensorId x = b.images(images);
      x = b.layer("conv2d", "wide", {x}, conv(around, 1));
      x = b.layer("conv2d", "conv", {x}, conv(channels, 3));
      x = b.layer("flatten", "flatten", {x});
      check_net(b.graph(), b.layer("linear", "fc", {x}, {{"out_features", int64_t{7}}, kBias}));
    }
  }
}

// The same map read in two layouts, and its two gradients brought back together.
TEST(BackendMaps, AMapReadPlainAndInItsOwnLayoutAgrees) {
  for (const auto& [channels, around] : kWidths) {
    SCOPED_TRACE(channels);
    GraphBuilder b("net");
    TensorId x = b.images({2, 3, 4, 4});
    x = b.layer("conv2d", "wide", {x}, conv(around, 1));
    x = b.layer("conv2d", "conv", {x}, conv(channels, 3));
    const TensorId padded = b.layer("pad", "pad", {x}, {{"padding", ints({0, 0, 0, 0})}});
    const TensorId again = b.layer("conv2d", "again", {x}, conv(channels, 1));
    check_net(b.graph(), b.layer("add", "sum", {padded, again}));
  }
}

}  // namespace
}  // namespace thimble
