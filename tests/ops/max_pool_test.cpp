#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "ops/core/builder.h"
#include "ops/core/op.h"
#include "support/check_op.h"
#include "support/expect_error.h"

namespace thimble {
namespace {

Attributes window(std::vector<int64_t> kernel, std::vector<int64_t> stride,
                  std::vector<int64_t> padding = {0, 0, 0, 0}) {
  return {{"kernel", ints(std::move(kernel))},
          {"stride", ints(std::move(stride))},
          {"padding", ints(std::move(padding))}};
}

TEST(MaxPool, HoldsItsContract) {
  check_op("max_pool",
           {{.inputs = {f32({2, 3, 8, 6}, distinct())}},
            {.inputs = {f32({1, 2, 7, 9}, distinct())}, .attributes = window({3, 2}, {2, 1})},
            {.inputs = {f32({2, 1, 5, 7}, distinct())},
             .attributes = window({3, 4}, {1, 2}, {2, 1, 0, 3}),
             .seed_parts = 2},
            {.inputs = {f32({1, 1, 5, 5}, distinct())}, .attributes = window({1, 2}, {3, 4})},
            {.inputs = {f32({1, 1, 1, 1})}, .attributes = window({2, 2}, {1, 1}, {1, 0, 0, 1})},
            {.inputs = {f32({1, 3, 20, 21}, distinct())}, .attributes = window({7, 7}, {1, 1})}});
}

Attributes up_to_the_edge(Attributes a) {
  a.set("ceil_mode", int64_t{1});
  return a;
}

TEST(MaxPool, HoldsItsContractWhereWindowsReachOverTheEdge) {
  check_op("max_pool", {{.inputs = {f32({2, 3, 8, 6}, distinct())},
                         .attributes = up_to_the_edge(window({3, 3}, {2, 2}))},
                        {.inputs = {f32({2, 19, 6, 5}, distinct())},
                         .attributes = up_to_the_edge(window({3, 2}, {2, 3}, {1, 0, 1, 1}))},
                        {.inputs = {f32({1, 16, 5, 5}, distinct())},
                         .attributes = up_to_the_edge(window({2, 2}, {2, 2}))}});
}

// torch 1.13: F.max_pool2d(torch.zeros(1, 1, h, w), kernel, stride, padding, ceil_mode=True).
TEST(MaxPool, TakesALastWindowThatBeginsInTheImage) {
  const auto side = [](int64_t in, int64_t kernel, int64_t stride, int64_t pad) {
    const OpCase c = {.inputs = {f32({1, 1, in, in})},
                      .attributes = up_to_the_edge(
                          window({kernel, kernel}, {stride, stride}, {pad, pad, pad, pad}))};
    return output_shape("max_pool", c)[2];
  };
  EXPECT_EQ(side(112, 3, 2, 0), 56);
  EXPECT_EQ(side(5, 2, 2, 0), 3);
  EXPECT_EQ(side(4, 2, 2, 1), 3);
  EXPECT_EQ(side(4, 1, 2, 0), 2);  // a third would begin behind the image
  EXPECT_EQ(side(7, 3, 2, 1), 4);
}

// The image of torch 1.13's F.max_pool2d(x, 3, 2, 1).
TEST(MaxPool, ReturnsMaximaAndTheirPlacesInTheWindow) {
  const auto out =
      run_op("max_pool", {.inputs = {f32({1, 1, 4, 5}, exactly({0, 7, 3, 10, 6,  2, 9, 5, 1, 8,
                                                                4, 0, 7, 3,  10, 6, 2, 9, 5, 1}))},
                          .attributes = window({3, 3}, {2, 2}, {1, 1, 1, 1})});
  EXPECT_EQ(out[0], (std::vector<double>{9, 10, 10, 9, 9, 10}));
  EXPECT_EQ(out[1], (std::vector<double>{8, 5, 3, 2, 0, 4}));
}

TEST(MaxPool, TakesTheFirstOfEqualMaxima) {
  const auto out = run_op("max_pool", {.inputs = {f32({1, 1, 2, 2}, exactly({1, 5, 5, 5}))}});
  EXPECT_EQ(out[1], std::vector<double>{1});
}

TEST(MaxPool, PointsInsideTheImageWhenAllIsMinusInfinity) {
  const double lowest = -std::numeric_limits<double>::infinity();
  const auto out = run_op("max_pool", {.inputs = {f32({1, 1, 2, 2}, exactly({lowest}))},
                                       .attributes = window({2, 2}, {2, 2}, {1, 1, 1, 1})});
  EXPECT_EQ(out[0], std::vector<double>(4, lowest));
  EXPECT_EQ(out[1], (std::vector<double>{3, 2, 1, 0}));
}

TEST(MaxPool, PassesNaNOn) {
  const auto out =
      run_op("max_pool", {.inputs = {f32({1, 1, 2, 2}, exactly({1, std::nan(""), 7, 3}))}});
  EXPECT_TRUE(std::isnan(out[0][0]));
  EXPECT_EQ(out[1], std::vector<double>{1});
}

TEST(MaxPool, SavesItsIndicesOnly) {
  const Graph graph = op_graph("max_pool", {.inputs = {f32({2, 3, 4, 4})}});
  const Saves saves = saves_of(graph, graph.nodes[0]);
  EXPECT_TRUE(saves.inputs.empty());
  EXPECT_EQ(saves.outputs, std::vector<size_t>{1});
  EXPECT_EQ(graph.tensor(graph.nodes[0].outputs[1]).type, ElementType::u8);
}

TEST(MaxPool, NamesWhatDoesNotFit) {
  const auto infer = [](const Shape& src, const Attributes& a) {
    op_graph("max_pool", {.inputs = {f32(src)}, .attributes = a});
  };
  expect_user_error(
      [&] {
        infer({2, 3}, window({2, 2}, {2, 2}));
      },
      "max_pool: src must be (N, C, H, W), got (2, 3)");
  expect_user_error(
      [&] {
        infer({1, 1, 4, 4}, window({2}, {2, 2}));
      },
      "got [2], [2,2] and [0,0,0,0]");
  expect_user_error(
      [&] {
        infer({1, 1, 4, 4}, window({2, 2}, {0, 2}));
      },
      "kernel and stride must be positive, got [2,2] and [0,2]");
  expect_user_error(
      [&] {
        infer({1, 1, 4, 4}, window({2, 2}, {2, 2}, {0, 0, 2, 0}));
      },
      "padding [0,0,2,0] must be smaller than the kernel [2,2]");
  expect_user_error(
      [&] {
        infer({1, 1, 4, 4}, window({5, 2}, {1, 1}));
      },
      "the kernel [5,2] is larger than the padded image (4, 4)");
  expect_user_error(
      [&] {
        infer({1, 1, 16, 16}, window({16, 16}, {1, 1}));
      },
      "the kernel [16,16] has 256 places; indices of one byte allow 255");
}

TestInput indices(const Shape& shape, Draw draw) {
  return {shape, ElementType::u8, std::move(draw), false};
}

TEST(MaxPoolBackward, DropsWhatPointsIntoThePadding) {
  Attributes a = window({2, 2}, {2, 2}, {1, 1, 1, 1});
  a.set("image", both(2));
  const OpCase c = {.inputs = {constant({1, 1, 2, 2}, exactly({1, 2, 3, 4})),
                               indices({1, 1, 2, 2}, exactly({3, 2, 0, 3}))},
                    .attributes = a};
  EXPECT_EQ(run_op("max_pool_backward", c)[0], (std::vector<double>{1, 2, 0, 0}));
}

TEST(MaxPoolBackward, NamesWhatDoesNotFit) {
  const auto infer = [](const Shape& diff, const Shape& index) {
    Attributes a = window({2, 2}, {2, 2});
    a.set("image", both(4));
    op_graph("max_pool_backward",
             {.inputs = {constant(diff), indices(index, exactly({0}))}, .attributes = a});
  };
  expect_user_error(
      [&] {
        infer({1, 1, 2, 2}, {1, 1, 2, 3});
      },
      "diff_dst (1, 1, 2, 2) and indices (1, 1, 2, 3) must have one shape");
  expect_user_error(
      [&] {
        infer({1, 1, 3, 3}, {1, 1, 3, 3});
      },
      "src (1, 1, 4, 4) needs diff_dst (1, 1, 2, 2), got (1, 1, 3, 3)");
}

}  // namespace
}  // namespace thimble
