#include <gtest/gtest.h>

#include "ops/core/builder.h"
#include "support/check_backends.h"
#include "support/check_op.h"
#include "support/expect_error.h"

namespace thimble {
namespace {

Attributes window(std::vector<int64_t> kernel, std::vector<int64_t> stride,
                  std::vector<int64_t> padding = {0, 0, 0, 0}, int64_t count_include_pad = 1) {
  return {{"kernel", ints(std::move(kernel))},
          {"stride", ints(std::move(stride))},
          {"padding", ints(std::move(padding))},
          {"count_include_pad", count_include_pad}};
}

TEST(AveragePool, HoldsItsContract) {
  check_op("average_pool",
           {{.inputs = {f32({2, 3, 8, 6})}},
            {.inputs = {f32({1, 2, 7, 9})}, .attributes = window({3, 2}, {2, 1})},
            {.inputs = {f32({2, 1, 5, 7})},
             .attributes = window({3, 4}, {1, 2}, {2, 1, 0, 3}),
             .seed_parts = 2},
            {.inputs = {f32({2, 1, 5, 7})}, .attributes = window({3, 4}, {1, 2}, {2, 1, 0, 3}, 0)},
            {.inputs = {f32({1, 1, 5, 5})}, .attributes = window({1, 2}, {3, 4})},
            {.inputs = {f32({1, 1, 1, 1})}, .attributes = window({2, 2}, {1, 1}, {1, 0, 0, 1}, 0)},
            {.inputs = {f32({1, 3, 20, 21})}, .attributes = window({7, 7}, {1, 1})}});
}

// torch 1.13's F.avg_pool2d(x, (3, 2), (2, 2), (1, 1)), with and without the padding counted.
TEST(AveragePool, DividesByThePlacesOfTheWindowOrByThoseInsideTheImage) {
  const TestInput src =
      f32({1, 1, 4, 5}, exactly({0, 7, 3, 10, 6, 2, 9, 5, 1, 8, 4, 0, 7, 3, 10, 6, 2, 9, 5, 1}));
  const auto pooled = [&](int64_t count_include_pad) {
    return run_op("average_pool",
                  {.inputs = {src},
                   .attributes = window({3, 2}, {2, 2}, {1, 1, 1, 1}, count_include_pad)})[0];
  };
  expect_near(pooled(1), {1.0 / 3, 4, 25.0 / 6, 2, 16.0 / 3, 14.0 / 3}, 1e-15, "all places");
  expect_near(pooled(0), {1, 6, 6.25, 4, 16.0 / 3, 14.0 / 3}, 1e-15, "inside the image");
}

Attributes up_to_the_edge(Attributes a) {
  a.set("ceil_mode", int64_t{1});
  return a;
}

TEST(AveragePool, HoldsItsContractWhereWindowsReachOverTheEdge) {
  for (int64_t count_include_pad : {0, 1}) {
    check_op(
        "average_pool",
        {{.inputs = {f32({2, 3, 8, 6})},
          .attributes = up_to_the_edge(window({3, 3}, {2, 2}, {0, 0, 0, 0}, count_include_pad))},
         {.inputs = {f32({2, 19, 6, 5})},
          .attributes = up_to_the_edge(window({3, 2}, {2, 3}, {1, 0, 1, 1}, count_include_pad))},
         {.inputs = {f32({1, 16, 4, 4})},
          .attributes = up_to_the_edge(window({3, 3}, {2, 2}, {1, 1, 1, 1}, count_include_pad))}});
  }
}

// torch 1.13's F.avg_pool2d(x, 3, 2, 1, ceil_mode=True), with and without the padding counted.
TEST(AveragePool, CountsNoPlacesBehindThePadding) {
  std::vector<double> pixels;
  for (int i = 1; i <= 16; ++i) pixels.push_back(i);
  const auto pooled = [&](int64_t count_include_pad) {
    return run_op(
        "average_pool",
        {.inputs = {f32({1, 1, 4, 4}, exactly(pixels))},
         .attributes = up_to_the_edge(window({3, 3}, {2, 2}, {1, 1, 1, 1}, count_include_pad))})[0];
  };
  expect_near(pooled(1), {14.0 / 9, 10.0 / 3, 2, 19.0 / 3, 11, 6, 4.5, 7.5, 4}, 1e-15, "padding");
  expect_near(pooled(0), {3.5, 5, 6, 9.5, 11, 12, 13.5, 15, 16}, 1e-15, "image");
}

TEST(AveragePool, NamesWhatDoesNotFit) {
  const auto infer = [](const Shape& src, const Attributes& a) {
    op_graph("average_pool", {.inputs = {f32(src)}, .attributes = a});
  };
  expect_user_error(
      [&] {
        infer({2, 3}, {});
      },
      "average_pool: src must be (N, C, H, W), got (2, 3)");
  expect_user_error(
      [&] {
        infer({1, 1, 4, 4}, window({3, 5}, {1, 1}));
      },
      "the kernel [3,5] is larger than the padded image (4, 4)");
}

}  // namespace
}  // namespace thimble
