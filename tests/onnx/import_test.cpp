#include "onnx/models.h"
#include "support/expect_error.h"

namespace thimble {
namespace {

using Sizes = std::vector<int64_t>;

const NetworkLayer& layer(const Network& network, size_t i) { return network.layers.at(i); }

TEST(Import, KeepsNames) {
  const Imported got = imported_both_ways(
      model("net (float[N,3,8,8] pixels) => (float[N,2] scores) {"
            "a = Conv <kernel_shape = [3,3]> (pixels, w, b) r = Relu (a) p = GlobalAveragePool (r)"
            "scores = Flatten (p) }",
            {{"w", {2, 3, 3, 3}}, {"b", {2}}}));
  EXPECT_EQ(got.network.name, "net");
  EXPECT_EQ(got.network.input, "pixels");
  EXPECT_EQ(got.network.output, "scores");
  EXPECT_EQ(got.network.image, (Shape{3, 8, 8}));
  EXPECT_EQ(ops(got.network), "conv2d relu global_average_pool flatten");
  EXPECT_EQ(layer(got.network, 0).name, "Conv_0");  // by its place: the file has no name for it
  EXPECT_EQ(layer(got.network, 0).inputs, (std::vector<std::string>{"pixels", "w", "b"}));
  EXPECT_EQ(layer(got.network, 0).outputs, std::vector<std::string>{"a"});
  EXPECT_EQ(got.values.at("w"), ramp(54));
}

TEST(Import, TakesConvolutionsAsTheyAre) {
  const Imported got = imported_both_ways(
      model("g (float[N,4,9,9] x) => (float[N,8,5,3] y) {"
            "y = Conv <kernel_shape = [3,2], group = 2, strides = [2,3], pads = [0,1,2,0],"
            " dilations = [1,2]> (x, w) }",
            {{"w", {8, 2, 3, 2}}}));
  const Attributes& a = layer(got.network, 0).attributes;
  EXPECT_EQ(a.integers("padding"), (Sizes{0, 1, 2, 0}));
  EXPECT_EQ(a.integers("stride"), (Sizes{2, 3}));
  EXPECT_EQ(a.integers("dilation"), (Sizes{1, 2}));
  EXPECT_EQ(a.integer("groups"), 2);
  EXPECT_EQ(a.integer("bias"), 0);
}

TEST(Import, PadsToTheSameSizeAsTheImageAsks) {
  const auto padding = [](const std::string& way) {
    const Imported got = imported_both_ways(
        nodes("a = Conv <auto_pad = \"" + way + "\", strides = [2,2]> (x, w) y = Flatten (a)",
              {{"w", {2, 3, 3, 3}}}));
    return layer(got.network, 0).attributes.integers("padding");
  };
  EXPECT_EQ(padding("SAME_UPPER"), (Sizes{0, 0, 1, 1}));
  EXPECT_EQ(padding("SAME_LOWER"), (Sizes{1, 1, 0, 0}));
  EXPECT_EQ(padding("VALID"), (Sizes{0, 0, 0, 0}));
  EXPECT_EQ(padding("NOTSET"), (Sizes{0, 0, 0, 0}));
}

TEST(Import, Relu6HasFourWritings) {
  const std::string head =
      "six = Constant <value_float = 6.0> () zero = Constant <value_float = 0.0>"
      " () ";
  for (const char* body : {"c = Clip (x, zero, six)", "r = Relu (x) c = Clip (r, zero, six)",
                           "r = Relu (x) c = Clip (r, , six)"}) {
    const Imported got = imported_both_ways(nodes(head + body + " y = Flatten (c)"));
    EXPECT_EQ(ops(got.network), "relu6 flatten") << body;
  }
  const Imported old =
      imported_both_ways(nodes("c = Clip <min = 0.0, max = 6.0> (x) y = Flatten (c)", {}, 9));
  EXPECT_EQ(ops(old.network), "relu6 flatten");
  const Imported open = imported_both_ways(nodes(head + "c = Clip (x, zero) y = Flatten (c)"));
  EXPECT_EQ(ops(open.network), "relu flatten");
}

TEST(Import, AReluThatOthersReadStays) {
  const Imported got = imported_both_ways(
      nodes("six = Constant <value_float = 6.0> () r = Relu (x) c = Clip (r, , six)"
            " s = Add (r, c) y = Flatten (s)"));
  EXPECT_EQ(ops(got.network), "relu relu6 add flatten");
}

TEST(Import, JoinsActivationsThatExportersTakeApart) {
  const auto joined = [](const std::string& body) {
    return ops(imported_both_ways(nodes(body + " y = Flatten (a)")).network);
  };
  EXPECT_EQ(joined("s = Sigmoid (x) a = Mul (x, s)"), "silu flatten");
  EXPECT_EQ(joined("s = Sigmoid (x) a = Mul (s, x)"), "silu flatten");
  EXPECT_EQ(joined("s = HardSigmoid <alpha = 0.16666667> (x) a = Mul (x, s)"),
            "hard_swish flatten");
  const std::string gate =
      "three = Constant <value_float = 3.0> () six = Constant <value_float ="
      " 6.0> () zero = Constant <value_float = 0.0> ()"
      " t = Add (x, three) c = Clip (t, zero, six) ";
  EXPECT_EQ(joined(gate + "a = Div (c, six)"), "hard_sigmoid flatten");
  EXPECT_EQ(joined(gate + "d = Div (c, six) a = Mul (x, d)"), "hard_swish flatten");
  EXPECT_EQ(joined(gate + "d = Mul (x, c) a = Div (d, six)"), "hard_swish flatten");
  EXPECT_EQ(joined("r = Constant <value_float = 1.4142135> () one = Constant <value_float = 1.0> ()"
                   " half = Constant <value_float = 0.5> () d = Div (x, r) e = Erf (d)"
                   " o = Add (e, one) m = Mul (x, o) a = Mul (m, half)"),
            "gelu flatten");
}

TEST(Import, KeepsAlphaAsTheDecimalThatTheFloatWas) {
  const Imported got = imported_both_ways(nodes("a = LeakyRelu <alpha = 0.1> (x) y = Flatten (a)"));
  EXPECT_EQ(layer(got.network, 0).attributes.real("alpha"), 0.1);
}

TEST(Import, BatchNormTakesItsMomentumTheOtherWayRound) {
  const Imported got = imported_both_ways(
      nodes("n = BatchNormalization <epsilon = 0.001, momentum = 0.9> (x, g, b, m, v)"
            " y = Flatten (n)",
            {{"g", {3}}, {"b", {3}}, {"m", {3}}, {"v", {3}}}));
  const NetworkLayer& norm = layer(got.network, 0);
  EXPECT_EQ(norm.inputs, (std::vector<std::string>{"x", "", "g", "b", "m", "v"}));
  EXPECT_EQ(norm.attributes.real("momentum"), 0.1);
  EXPECT_EQ(norm.attributes.real("epsilon"), 0.001);
  EXPECT_EQ(got.network.parameters[0].role, Role::weight);
  EXPECT_EQ(got.network.parameters[3].role, Role::statistic);
}

TEST(Import, EqualConstantsUnderAnotherNameAreOtherParameters) {
  // PyTorch writes equal initialisers once, and Identity for the others.
  const Imported got =
      imported_both_ways(nodes("v = Identity (g) m = Identity (b)"
                               " n = BatchNormalization (x, g, b, m, v) y = Flatten (n)",
                               {{"g", {3}}, {"b", {3}}}));
  ASSERT_EQ(got.network.parameters.size(), 4u);
  EXPECT_EQ(got.network.parameters[2].name, "m");
  EXPECT_EQ(got.network.parameters[2].role, Role::statistic);
  EXPECT_EQ(got.values.at("v"), got.values.at("g"));
}

TEST(Import, TwoLayersMayShareWeights) {
  const Imported got = imported_both_ways(
      nodes("a = Conv <pads = [1,1,1,1]> (x, w) b = Conv <pads = [1,1,1,1]> (a, w)"
            " y = Flatten (b)",
            {{"w", {3, 3, 3, 3}}}));
  EXPECT_EQ(got.network.parameters.size(), 1u);
  EXPECT_EQ(layer(got.network, 1).inputs[1], "w");
}

TEST(Import, MatrixProductsAreLinearLayers) {
  const Imported got =
      imported_both_ways(model("g (float[N,3,1,1] x) => (float[N,2] y) {"
                               "f = Flatten (x) m = MatMul (f, w) y = Add (m, b) }",
                               {{"w", {3, 2}}, {"b", {2}}}));
  EXPECT_EQ(ops(got.network), "flatten linear");
  EXPECT_EQ(got.network.parameters[0].shape, (Shape{2, 3}));
  EXPECT_EQ(got.values.at("w"), (std::vector<float>{0.125F, 0.375F, 0.625F, 0.25F, 0.5F, 0.75F}));
  EXPECT_EQ(got.values.at("b"), ramp(2));
}

TEST(Import, GemmFactorsGoIntoItsWeights) {
  const Imported got = imported_both_ways(
      model("g (float[N,3,1,1] x) => (float[N,2] y) {"
            "f = Flatten (x) y = Gemm <alpha = 2.0, beta = 0.5, transB = 1> (f, w, b) }",
            {{"w", {2, 3}}, {"b", {2}}}));
  EXPECT_EQ(got.values.at("w"), (std::vector<float>{0.25F, 0.5F, 0.75F, 1.0F, 1.25F, 1.5F}));
  EXPECT_EQ(got.values.at("b"), (std::vector<float>{0.0625F, 0.125F}));
}

TEST(Import, ASumBehindAConvolutionIsItsBias) {
  const Imported got = imported_both_ways(nodes("a = Conv (x, w) s = Add (a, b) y = Flatten (s)",
                                                {{"w", {2, 3, 1, 1}}, {"b", {1, 2, 1, 1}}}));
  EXPECT_EQ(ops(got.network), "conv2d flatten");
  EXPECT_EQ(layer(got.network, 0).inputs, (std::vector<std::string>{"x", "w", "b"}));
  EXPECT_EQ(got.network.parameters[1].shape, (Shape{2}));
}

TEST(Import, ConstantsWithImagesAreConvolutionsThatDoNotTrain) {
  const Imported got = imported_both_ways(
      nodes("c = Constant <value_float = 2.0> () o = Constant <value_float = 1.0> ()"
            " m = Div (x, c) s = Sub (m, o) y = Flatten (s)"));
  EXPECT_EQ(ops(got.network), "conv2d flatten");
  ASSERT_EQ(got.network.parameters.size(), 2u);
  EXPECT_EQ(got.network.parameters[0].role, Role::statistic);
  EXPECT_EQ(got.values.at(got.network.parameters[0].name), std::vector<float>(3, 0.5F));
  EXPECT_EQ(got.values.at(got.network.parameters[1].name), std::vector<float>(3, -1.0F));
}

TEST(Import, ASumWithAConstantAdds) {
  const std::string head = "g (float[N,2,1,2] x) => (float[N,4] y) {";
  const std::vector<double> images = {1, 2, 3, 4};
  for (const char* sum : {"s = Sum (x, c)", "s = Sum (c, x)", "s = Add (x, c)"}) {
    SCOPED_TRACE(sum);
    const Imported one = imported_both_ways(
        model(head + "c = Constant <value_float = 3.0> () " + sum + " y = Flatten (s) }"));
    EXPECT_EQ(logits(one, images), (std::vector<double>{4, 5, 6, 7}));
    // 1/8 and 2/8, one for each channel.
    const Imported each =
        imported_both_ways(model(head + sum + " y = Flatten (s) }", {{"c", {2, 1, 1}}}));
    EXPECT_EQ(logits(each, images), (std::vector<double>{1.125, 2.125, 3.25, 4.25}));
  }
}

TEST(Import, ASumOfOneIsWhatItIsGiven) {
  const Imported got = imported_both_ways(
      model("g (float[N,2,1,2] x) => (float[N,4] y) { s = Sum (x) y = Flatten (s) }"));
  EXPECT_EQ(ops(got.network), "flatten");
  EXPECT_EQ(logits(got, {1, 2, 3, 4}), (std::vector<double>{1, 2, 3, 4}));
}

TEST(Import, ASumOfThreeIsRefused) {
  expect_user_error([] { imported(nodes("s = Sum (x, x, x) y = Flatten (s)")); },
                    "has 3 inputs, needed 2");
}

TEST(Import, AConstantOfMoreAxesThanTheImagesIsRefused) {
  expect_user_error(
      [] {
        imported(nodes("s = Add (x, c) y = Flatten (s)", {{"c", {1, 1, 3, 1, 1}}}));
      },
      "neither one value nor one for each of the channels of (2, 3, 8, 8)");
}

TEST(Import, ChannelFactorsTrain) {
  const Imported got = imported_both_ways(
      nodes("m = Mul (x, g) s = Add (m, b) y = Flatten (s)", {{"g", {3, 1, 1}}, {"b", {3, 1, 1}}}));
  EXPECT_EQ(ops(got.network), "conv2d flatten");
  EXPECT_EQ(got.network.parameters[0].role, Role::weight);
  EXPECT_EQ(got.network.parameters[0].shape, (Shape{3, 1, 1, 1}));
  EXPECT_EQ(layer(got.network, 0).attributes.integer("groups"), 3);
}

TEST(Import, AGateMultipliesWholePlanes) {
  const Imported got = imported_both_ways(
      nodes("p = GlobalAveragePool (x) s = Sigmoid (p) m = Mul (s, x) y = Flatten (m)"));
  EXPECT_EQ(ops(got.network), "global_average_pool sigmoid mul flatten");
  EXPECT_EQ(layer(got.network, 2).inputs, (std::vector<std::string>{"x", "s"}));
}

TEST(Import, WhatComputesNothingGoes) {
  const Imported got = imported_both_ways(
      nodes("i = Identity (x) d = Dropout (i) c = Cast <to = 1> (d) f = Flatten (c)"
            " y = Identity (f)"));
  EXPECT_EQ(ops(got.network), "flatten");
  EXPECT_EQ(layer(got.network, 0).outputs, std::vector<std::string>{"y"});
  EXPECT_EQ(layer(got.network, 0).inputs, std::vector<std::string>{"x"});
}

TEST(Import, ASoftmaxBehindTheLogitsIsDroppedAndSaid) {
  const Imported got = imported(nodes("f = Flatten (x) y = Softmax (f)"));
  EXPECT_EQ(ops(got.network), "flatten");
  ASSERT_EQ(got.notes.size(), 1u);
  EXPECT_EQ(got.notes[0], "Softmax_1 (Softmax) was dropped: the output is what it is given");
}

TEST(Import, NodesThatTheOutputDoesNotNeedAreNotAskedFor) {
  const Imported got = imported(nodes("z = Mystery (x) y = Flatten (x)"));
  EXPECT_EQ(ops(got.network), "flatten");
}

TEST(Import, ImagesThatComeChannelsLastAreTurnedBefore) {
  const Imported got = imported_both_ways(
      model("g (float[N,8,6,3] x) => (float[N,2] y) {"
            "t = Transpose <perm = [0,3,1,2]> (x) a = Conv (t, w)"
            " u = Transpose <perm = [0,2,3,1]> (a) f = Flatten (u) y = MatMul (f, v) }",
            {{"w", {1, 3, 8, 5}}, {"v", {2, 2}}}));
  EXPECT_EQ(got.network.input, "t");
  EXPECT_EQ(got.network.image, (Shape{3, 8, 6}));
  EXPECT_EQ(got.notes, std::vector<std::string>{
                           "the input x is (N, H, W, C) in the file; it is now (N, C, H, W) and "
                           "called t"});
  EXPECT_EQ(ops(got.network), "conv2d reshape flatten linear");
}

TEST(Import, WeightsBehindImagesFlattenedChannelsLastAreTurned) {
  const Imported got = imported_both_ways(
      model("g (float[N,2,1,2] x) => (float[N,1] y) {"
            "u = Transpose <perm = [0,2,3,1]> (x) f = Flatten (u) y = MatMul (f, v) }",
            {{"v", {4, 1}}}));
  EXPECT_EQ(ops(got.network), "flatten linear");
  // (h, w, c) 00 01 10 11 becomes (c, h, w).
  EXPECT_EQ(got.values.at("v"), (std::vector<float>{0.125F, 0.375F, 0.25F, 0.5F}));
}

TEST(Import, OnlyTheReaderBehindTurnedImagesGetsTurnedWeights) {
  const std::string head = "g (float[N,2,1,2] x) => (float[N,1] y) {";
  const std::string turned =
      "u = Transpose <perm = [0,2,3,1]> (x) f = Flatten (u) a = MatMul (f, v) ";
  // v = 1/8 ... 4/8. Turned, the images are (1, 3, 2, 4).
  const Imported one = imported_both_ways(
      model(head + turned + "h = Flatten (x) b = MatMul (h, v) y = Add (a, b) }", {{"v", {4, 1}}}));
  EXPECT_EQ(logits(one, {1, 2, 3, 4}), std::vector<double>{(29 + 30) / 8.0});
  ASSERT_EQ(one.network.parameters.size(), 2u);
  EXPECT_EQ(one.network.parameters[0].name, "v.2");
  EXPECT_EQ(one.network.parameters[1].name, "v");
  // Two that ask for the same form go on sharing.
  const Imported both = imported_both_ways(
      model(head + turned +
                "r = Relu (x) w = Transpose <perm = [0,2,3,1]> (r) h = Flatten (w)"
                " b = MatMul (h, v) y = Add (a, b) }",
            {{"v", {4, 1}}}));
  EXPECT_EQ(logits(both, {1, 2, 3, -4}), std::vector<double>{(-3 + 13) / 8.0});
  EXPECT_EQ(both.network.parameters.size(), 1u);
}

TEST(Import, AFactorThatIsAddedElsewhereKeepsItsShapeThere) {
  const Imported got = imported_both_ways(
      model("g (float[N,2,1,2] x) => (float[N,4] y) { m = Mul (x, g) r = Relu (m) s = Add (r, g)"
            " y = Flatten (s) }",
            {{"g", {2, 1, 1}}}));
  EXPECT_EQ(logits(got, {1, 2, 3, 4}), (std::vector<double>{0.25, 0.375, 1, 1.25}));
}

TEST(Import, HalfAndDoubleNumbersBecomeFloats) {
  onnx::ModelProto m = nodes("a = Conv (x, w, b) y = Flatten (a)", {});
  auto& w = *m.mutable_graph()->add_initializer();
  w.set_name("w");
  w.set_data_type(onnx::TensorProto::FLOAT16);
  for (int64_t size : {1, 3, 1, 1}) w.add_dims(size);
  for (int bits : {0x3C00, 0xC000, 0x0001}) w.add_int32_data(bits);
  auto& b = *m.mutable_graph()->add_initializer();
  b.set_name("b");
  b.set_data_type(onnx::TensorProto::DOUBLE);
  b.add_dims(1);
  const double value = 0.1;
  b.set_raw_data(&value, sizeof(value));
  const Imported got = imported_both_ways(std::move(m));
  EXPECT_EQ(got.values.at("w"), (std::vector<float>{1, -2, 0x1p-24F}));
  EXPECT_EQ(got.values.at("b"), std::vector<float>{0.1F});
}

TEST(Import, MeansOverImagesAreGlobalPools) {
  const auto of = [](const std::string& node) {
    return ops(imported_both_ways(nodes(node)).network);
  };
  EXPECT_EQ(of("y = ReduceMean <axes = [2,3], keepdims = 0> (x)"), "global_average_pool flatten");
  EXPECT_EQ(of("y = ReduceMean <axes = [-1,-2]> (x)"), "global_average_pool");
  expect_user_error([] { imported(nodes("y = ReduceMean <axes = [1]> (x)")); },
                    "takes the mean over axes [1] of (2, 3, 8, 8)");
}

TEST(Import, PoolsKeepTheirWindows) {
  const Imported got = imported_both_ways(
      nodes("a = MaxPool <kernel_shape = [3,3], strides = [2,2], ceil_mode = 1> (x)"
            " b = AveragePool <kernel_shape = [3,3], pads = [1,1,1,1]> (a) y = Flatten (b)"));
  EXPECT_EQ(ops(got.network), "max_pool average_pool flatten");
  EXPECT_EQ(layer(got.network, 0).attributes.integer("ceil_mode"), 1);
  EXPECT_EQ(layer(got.network, 1).attributes.integer("count_include_pad"), 0);
  EXPECT_EQ(layer(got.network, 1).attributes.integers("stride"), (Sizes{1, 1}));
}

TEST(Import, ConcatSplitAndSliceWorkOnChannels) {
  const Imported got = imported_both_ways(
      nodes("parts = Constant <value_ints = [1,2]> () one = Constant <value_ints = [1]> ()"
            " last = Constant <value_ints = [3]> () a, b = Split <axis = 1> (x, parts)"
            " c = Slice (x, one, last, one) d = Concat <axis = 1> (a, b, c) y = Flatten (d)"));
  EXPECT_EQ(ops(got.network), "split slice concat flatten");
  EXPECT_EQ(layer(got.network, 0).attributes.integers("sizes"), (Sizes{1, 2}));
  EXPECT_EQ(layer(got.network, 1).attributes.integer("begin"), 1);
}

TEST(Import, SlicesThatAreTheWholeAreASplit) {
  const std::string numbers =
      "one = Constant <value_ints = [1]> () none = Constant <value_ints ="
      " [0]> () two = Constant <value_ints = [2]> ()"
      " end = Constant <value_ints = [9223372036854775807]> () ";
  const Imported got = imported_both_ways(
      nodes(numbers + "a = Slice (x, two, end, one) b = Slice (x, none, two, one)"
                      " d = Concat <axis = 1> (a, b) y = Flatten (d)"));
  EXPECT_EQ(ops(got.network), "split concat flatten");
  EXPECT_EQ(layer(got.network, 0).outputs, (std::vector<std::string>{"b", "a"}));
  EXPECT_EQ(layer(got.network, 0).attributes.integers("sizes"), (Sizes{2, 1}));
  const Imported half =
      imported_both_ways(nodes(numbers + "a = Slice (x, one, end, one) y = Flatten (a)"));
  EXPECT_EQ(ops(half.network), "slice flatten");
}

}  // namespace
}  // namespace thimble
