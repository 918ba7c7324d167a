#include "onnx/models.h"
#include "support/expect_error.h"

// What exporters write around padding and reshaping.

namespace thimble {
namespace {

using Sizes = std::vector<int64_t>;

// F.pad(x, (0, 1, 0, 1)) as PyTorch 1.13 writes it.
const std::string kPad =
    "p = Constant <value_ints = [0,1,0,1]> () n = Shape (p)"
    " rank = Constant <value = int64 {4}> () two = Constant <value = int64 {2}> ()"
    " all = Mul (rank, two) zero = Constant <value = int64 {0}> () c = Gather <axis = 0> (n, zero)"
    " more = Sub (all, c) none = Constant <value_ints = [0]> () m = Unsqueeze (more, none)"
    " zeros = ConstantOfShape <value = int64[1] {0}> (m) pads = Concat <axis = 0> (p, zeros)"
    " pairs = Constant <value_ints = [-1,2]> () r = Reshape (pads, pairs)"
    " back = Constant <value_ints = [-1]> () end = Constant <value_ints = [-9223372036854775807]> "
    "()"
    " s = Slice (r, back, end, none, back) t = Transpose <perm = [1,0]> (s)"
    " flat = Reshape (t, back) q = Cast <to = 7> (flat)"
    " v = Constant <value_float = 0.0> () padded = Pad <mode = \"constant\"> (x, q, v) ";

TEST(ShapeFolding, FindsThePaddingOfPyTorch) {
  const Imported got = imported_both_ways(nodes(kPad + "y = Flatten (padded)"));
  EXPECT_EQ(ops(got.network), "pad flatten");
  EXPECT_EQ(got.network.layers[0].attributes.integers("padding"), (Sizes{0, 0, 1, 1}));
}

TEST(ShapeFolding, ReshapesOfAnyBatchAreKnown) {
  const std::string batch =
      "s = Shape (x) zero = Constant <value = int64 {0}> ()"
      " n = Gather <axis = 0> (s, zero) none = Constant <value_ints = [0]> ()"
      " u = Unsqueeze (n, none) ";
  for (const std::string& target :
       {batch + "rest = Constant <value_ints = [-1]> () to = Concat <axis = 0> (u, rest)",
        batch + "rest = Constant <value_ints = [192]> () to = Concat <axis = 0> (u, rest)",
        std::string("to = Constant <value_ints = [0,-1]> ()"),
        std::string("to = Constant <value_ints = [-1,192]> ()")}) {
    const Imported got = imported_both_ways(nodes(target + " y = Reshape (x, to)"));
    EXPECT_EQ(ops(got.network), "flatten") << target;
  }
}

TEST(ShapeFolding, AFixedBatchIsTakenForAnyOther) {
  const Imported got = imported_both_ways(
      model("g (float[1,4,2,2] x) => (float[1,16] y) {"
            "to = Constant <value_ints = [1,2,2,2,2]> () r = Reshape (x, to)"
            " t = Transpose <perm = [0,2,1,3,4]> (r) back = Constant <value_ints = [1,4,2,2]> ()"
            " s = Reshape (t, back) y = Flatten (s) }"));
  EXPECT_EQ(ops(got.network), "channel_shuffle flatten");
  EXPECT_EQ(got.network.layers[0].attributes.integer("groups"), 2);
}

TEST(ShapeFolding, WhatMixesImagesIsRefused) {
  expect_user_error(
      [] { imported(nodes("to = Constant <value_ints = [-1,96]> () y = Reshape (x, to)")); },
      "do not fill the new shape");
  expect_user_error([] { imported(nodes("y = Transpose <perm = [1,0,2,3]> (x)")); },
                    "mixes the images of a batch");
  expect_user_error([] { imported(nodes("y = Concat <axis = 0> (x, x)")); },
                    "mixes the images of a batch");
  expect_user_error([] { imported(nodes("y = Flatten <axis = 2> (x)")); },
                    "mixes the images of a batch");
}

TEST(ShapeFolding, SizesThatAreNoMultipleOfTheBatchAreRefused) {
  expect_user_error(
      [] {
        imported(
            nodes("s = Shape (x) zero = Constant <value_ints = [0]> ()"
                  " n = Gather <axis = 0> (s, zero) q = Mul (n, n) y = Reshape (x, q)"));
      },
      "Mul_3 (Mul): computes with the batch size");
}

TEST(ShapeFolding, BatchAndOtherSizesCancel) {
  // N * 3 * 8 * 8 / N
  const Imported got = imported_both_ways(
      nodes("s = Shape (x) all = ReduceProd <keepdims = 1, axes = [0]> (s)"
            " zero = Constant <value_ints = [0]> () n = Gather <axis = 0> (s, zero)"
            " each = Div (all, n) to = Concat <axis = 0> (n, each) y = Reshape (x, to)"));
  EXPECT_EQ(ops(got.network), "flatten");
}

TEST(ShapeFolding, SqueezeAndUnsqueezeAreReshapes) {
  const Imported got = imported_both_ways(
      nodes("p = GlobalAveragePool (x) hw = Constant <value_ints = [2,3]> () f = Squeeze (p, hw)"
            " u = Unsqueeze (f, hw) s = Sigmoid (u) m = Mul (x, s) y = Flatten (m)"));
  EXPECT_EQ(ops(got.network), "global_average_pool flatten reshape sigmoid mul flatten");
}

TEST(ShapeFolding, GroupNormalisationIsFound) {
  const Imported got = imported_both_ways(
      model("g (float[N,4,2,2] x) => (float[N,16] y)"
            " <float[2] one = {1,1}, float[2] none = {0,0}> {"
            "to = Constant <value_ints = [0,2,-1]> () r = Reshape (x, to)"
            " n = InstanceNormalization <epsilon = 0.001> (r, one, none)"
            " s = Shape (x) b = Reshape (n, s) m = Mul (b, gamma) a = Add (m, beta)"
            " y = Flatten (a) }",
            {{"gamma", {4, 1, 1}}, {"beta", {4, 1, 1}}}));
  EXPECT_EQ(ops(got.network), "group_norm flatten");
  EXPECT_EQ(got.network.layers[0].attributes.integer("groups"), 2);
  EXPECT_EQ(got.network.layers[0].attributes.real("epsilon"), 0.001);
  EXPECT_EQ(got.network.parameters[0].shape, (Shape{4}));
}

TEST(ShapeFolding, UpsamplingTakesSizesOrScales) {
  for (const char* body :
       {"to = Constant <value = float[4] {1,1,2,2}> () r = Resize <mode = \"linear\"> (x, , to)",
        "s = Shape (x) a = Constant <value_ints = [0]> () b = Constant <value_ints = [2]> ()"
        " k = Slice (s, a, b) i = Constant <value_ints = [16,16]> () t = Concat <axis = 0> (k, i)"
        " r = Resize <mode = \"linear\"> (x, , , t)"}) {
    const Imported got = imported_both_ways(nodes(std::string(body) + " y = Flatten (r)"));
    EXPECT_EQ(ops(got.network), "upsample_bilinear flatten");
    EXPECT_EQ(got.network.layers[0].attributes.integers("size"), (Sizes{16, 16}));
  }
  expect_user_error(
      [] {
        imported(
            nodes("to = Constant <value = float[4] {1,1,2,2}> ()"
                  " r = Resize (x, , to) y = Flatten (r)"));
      },
      "resizes by 'nearest'");
}

}  // namespace
}  // namespace thimble
