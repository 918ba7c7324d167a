#include <gtest/gtest.h>

#include "ops/core/builder.h"
#include "support/check_op.h"
#include "support/expect_error.h"

namespace thimble {
namespace {

Attributes conv(int64_t out_channels, int64_t kernel, Attributes more = {}) {
  Attributes all = {{"out_channels", out_channels}, {"kernel", both(kernel)}};
  for (const auto& [name, value] : more) all.set(name, value);
  return all;
}

const Attributes::Entry kBias = {"bias", int64_t{1}};
const Attributes::Entry kSame = {"padding", ints({1, 1, 1, 1})};

TEST(Conv2d, HoldsItsContract) {
  check_op("conv2d", {
                         {.inputs = {f32({2, 3, 5, 7})}, .attributes = conv(4, 3, {kSame, kBias})},
                         {.inputs = {f32({2, 3, 5, 7})}, .attributes = conv(4, 3), .seed_parts = 2},
                         {.inputs = {f32({1, 1, 1, 1})}, .attributes = conv(1, 1)},
                         {.inputs = {f32({3, 5, 4, 4})}, .attributes = conv(2, 1, {kBias})},
                     });
}

TEST(Conv2d, HoldsItsContractWithStrideAndDilation) {
  check_op(
      "conv2d",
      {
          {.inputs = {f32({2, 2, 7, 5})}, .attributes = conv(3, 3, {kSame, {"stride", both(2)}})},
          {.inputs = {f32({1, 2, 9, 8})}, .attributes = conv(2, 3, {{"stride", ints({3, 2})}})},
          {.inputs = {f32({1, 2, 9, 8})}, .attributes = conv(2, 3, {{"dilation", ints({2, 3})}})},
          {.inputs = {f32({1, 2, 6, 7})},
           .attributes = conv(2, 2, {{"stride", both(2)}, {"dilation", both(2)}, kSame, kBias})},
          // A stride larger than the kernel leaves pixels that no output sees.
          {.inputs = {f32({1, 2, 7, 7})}, .attributes = conv(2, 1, {{"stride", both(3)}})},
      });
}

// Of the bias alone: by other kernels, which read no image.
TEST(Conv2d, HoldsItsContractWithItsBiasAlone) {
  check_op("conv2d", {{.inputs = {constant({2, 3, 5, 4}), constant({7, 3, 3, 3}), f32({7})},
                       .attributes = conv(7, 3, {kSame, kBias})},
                      {.inputs = {f32({1, 16, 6, 6}), constant({32, 16, 1, 1}), f32({32})},
                       .attributes = conv(32, 1, {kBias}),
                       .seed_parts = 2}});
}

TEST(Conv2d, HoldsItsContractWithAsymmetricPadding) {
  check_op("conv2d",
           {
               {.inputs = {f32({1, 2, 4, 5})},
                .attributes = conv(2, 3, {{"padding", ints({0, 1, 2, 0})}})},
               {.inputs = {f32({2, 1, 5, 4})},
                .attributes = conv(2, 3, {{"padding", ints({1, 0, 0, 2})}, {"stride", both(2)}})},
               // Padding wider than the image: some kernel columns only ever see padding.
               {.inputs = {f32({1, 1, 2, 2})},
                .attributes = conv(1, 5, {{"padding", ints({3, 3, 3, 3})}})},
               {.inputs = {f32({1, 2, 5, 6})},
                .attributes = {{"out_channels", int64_t{2}},
                               {"kernel", ints({1, 4})},
                               {"padding", ints({0, 2, 0, 1})}}},
           });
}

TEST(Conv2d, HoldsItsContractWithGroups) {
  check_op("conv2d",
           {
               {.inputs = {f32({2, 4, 5, 5})},
                .attributes = conv(6, 3, {kSame, kBias, {"groups", int64_t{2}}})},
               {.inputs = {f32({2, 5, 5, 4})},
                .attributes = conv(5, 3, {kSame, {"groups", int64_t{5}}})},
               {.inputs = {f32({1, 3, 6, 5})},
                .attributes = conv(6, 3, {kSame, {"groups", int64_t{3}}, {"stride", both(2)}})},
           });
}

TEST(Conv2d, CrossCorrelatesWithoutFlippingTheKernel) {
  const OpCase c = {
      .inputs = {f32({1, 1, 2, 3}, exactly({1, 2, 3, 4, 5, 6})),
                 f32({1, 1, 2, 2}, exactly({1, 10, 100, 1000})), f32({1}, exactly({0.5}))},
      .attributes = conv(1, 2, {kBias})};
  EXPECT_EQ(run_op("conv2d", c)[0], (std::vector<double>{5421.5, 6532.5}));
}

TEST(Conv2d, OutputShapeFollowsStrideDilationAndPadding) {
  const auto shape = [](const Shape& src, const Attributes& attributes) {
    return output_shape("conv2d", {.inputs = {f32(src)}, .attributes = attributes});
  };
  EXPECT_EQ(
      shape({8, 3, 224, 224}, conv(64, 7, {{"stride", both(2)}, {"padding", ints({3, 3, 3, 3})}})),
      (Shape{8, 64, 112, 112}));
  EXPECT_EQ(
      shape({1, 3, 96, 96}, conv(16, 3, {{"stride", both(2)}, {"padding", ints({0, 0, 1, 1})}})),
      (Shape{1, 16, 48, 48}));
  EXPECT_EQ(shape({1, 1, 9, 8}, conv(2, 3, {{"dilation", ints({2, 3})}})), (Shape{1, 2, 5, 2}));
}

TEST(Conv2d, SavesSrcAndWeights) {
  EXPECT_EQ(saved_by("conv2d", {.inputs = {f32({1, 2, 4, 4})}, .attributes = conv(2, 3, {kBias})}),
            "src, weights");
}

TEST(Conv2d, CountsTwoOperationsPerMultiplyAdd) {
  const Graph graph = op_graph("conv2d", {.inputs = {f32({2, 4, 5, 5})},
                                          .attributes = conv(6, 3, {{"groups", int64_t{2}}})});
  EXPECT_EQ(flops_of(graph, graph.nodes[0]), 2 * (2 * 6 * 3 * 3) * (2 * 3 * 3));
}

TEST(Conv2d, InitialisesWeightsByFanOut) {
  const Graph graph = op_graph("conv2d", {.inputs = {f32({1, 4, 5, 5})}, .attributes = conv(8, 2)});
  const Tensor& weights = graph.tensor(graph.find("layer.weight"));
  EXPECT_EQ(weights.shape, (Shape{8, 4, 2, 2}));
  EXPECT_EQ(weights.init, (Init{Init::Kind::normal, 0.25}));  // sqrt(2 / (8 * 2 * 2))
}

TEST(Conv2d, RefusesWhatCannotBe) {
  const auto refuses = [](const Shape& src, const Attributes& attributes,
                          const std::string& words) {
    expect_user_error([&] { op_graph("conv2d", {.inputs = {f32(src)}, .attributes = attributes}); },
                      words);
  };
  refuses({2, 3}, conv(4, 3), "conv2d: src must be (N, C, H, W), got (2, 3)");
  refuses({1, 3, 8, 8}, conv(4, 3, {{"groups", int64_t{2}}}),
          "2 groups must divide 3 input and 4 output channels");
  refuses({1, 3, 8, 8}, conv(4, 0), "kernel must be two positive sizes");
  refuses({1, 3, 8, 8}, conv(4, 3, {{"padding", both(1)}}),
          "padding four (top, left, bottom, right)");
  refuses({1, 3, 8, 8}, conv(4, 3, {{"stride", both(0)}}), "stride and dilation must be positive");
  refuses({1, 3, 2, 8}, conv(4, 3),
          "the kernel (4, 3, 3, 3) is larger than the padded image (1, 3, 2, 8)");
  refuses({1, 3, 8, 8}, conv(4, 3, {{"colour", int64_t{1}}}), "conv2d has no attribute 'colour'");
  refuses({1, 3, 8, 8}, {{"kernel", int64_t{3}}}, "attribute 'kernel' has the wrong type");
}

TEST(Conv2d, RefusesWeightsOfAnotherShape) {
  expect_user_error(
      [] {
        op_graph("conv2d",
                 {.inputs = {f32({1, 3, 8, 8}), f32({4, 2, 3, 3})}, .attributes = conv(4, 3)});
      },
      "conv2d: src (1, 3, 8, 8) needs weights (4, 3, 3, 3), got (4, 2, 3, 3)");
}

TEST(Conv2d, RefusesABiasThatItsAttributesDenyOrLack) {
  const auto graph = [](std::vector<TestInput> inputs, const Attributes& attributes) {
    return op_graph("conv2d", {.inputs = std::move(inputs), .attributes = attributes});
  };
  const TestInput src = f32({1, 1, 3, 3}), weights = f32({2, 1, 3, 3});
  expect_user_error(
      [&] {
        graph({src, weights, f32({2})}, conv(2, 3));
      },
      "bias=0 needs no bias input, got shape (2)");
  expect_user_error(
      [&] {
        graph({src, weights, f32({3})}, conv(2, 3, {kBias}));
      },
      "needs a bias of one value per output channel, got shape (3)");
}

}  // namespace
}  // namespace thimble
