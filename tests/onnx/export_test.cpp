#include <onnx/checker.h>

#include <cmath>
#include <filesystem>
#include <random>

#include "base/hash.h"
#include "models/model.h"
#include "onnx/convert_files.h"
#include "onnx/exporter.h"
#include "onnx/model_file.h"
#include "onnx/models.h"
#include "runtime/network_file.h"
#include "support/expect_error.h"

namespace thimble {
namespace {

const onnx::AttributeProto* attribute(const onnx::NodeProto& node, const std::string& name) {
  for (const auto& a : node.attribute()) {
    if (a.name() == name) return &a;
  }
  return nullptr;
}

TEST(Export, SaysOpsetNamesAndTheBatch) {
  const Imported from =
      imported(model("net (float[N,3,8,8] pixels) => (float[N,2] scores) {"
                     "a = Conv (pixels, w) n = BatchNormalization <momentum = 0.9> (a, g, b, m, v)"
                     " p = GlobalAveragePool (n) scores = Flatten (p) }",
                     {{"w", {2, 3, 1, 1}}, {"g", {2}}, {"b", {2}}, {"m", {2}}, {"v", {2}}}));
  const onnx::ModelProto out = exported(from);
  EXPECT_EQ(out.ir_version(), 7);
  EXPECT_EQ(out.opset_import(0).version(), 13);
  EXPECT_EQ(out.graph().name(), "net");
  EXPECT_EQ(out.graph().node_size(), 4);
  EXPECT_EQ(out.graph().node(1).name(), "BatchNormalization_1");
  EXPECT_EQ(out.graph().node(1).output(0), "n");
  EXPECT_EQ(attribute(out.graph().node(1), "momentum")->f(), 0.9F);
  EXPECT_EQ(out.graph().initializer(0).name(), "w");
  const auto& dims = out.graph().input(0).type().tensor_type().shape().dim();
  EXPECT_EQ(dims[0].dim_param(), "N");
  EXPECT_EQ(dims[3].dim_value(), 8);
  EXPECT_EQ(out.graph().output(0).name(), "scores");
}

TEST(Export, KeepsThePixelRule) {
  Imported from = imported(nodes("y = Flatten (x)"));
  from.network.pixels = {{0.1, 0.2, 0.3}, {1.0 / 3, 1, 2}, true};
  EXPECT_EQ(imported(exported(from)).network, from.network);
}

TEST(Export, LayersThatOnnxHasNoWordsForAreNamed) {
  Imported from = imported(nodes("y = Flatten (x)"));
  from.network.layers[0].op = "picture_mean";
  expect_user_error([&] { exported(from); },
                    "layer Flatten_0: ONNX has no words for the op picture_mean");
}

TEST(Export, StandardizedWeightsAreWrittenAsTheyComeOut) {
  Imported from = imported(nodes("a = Conv (x, w) y = Flatten (a)", {{"w", {1, 3, 1, 1}}}));
  from.network.layers.insert(from.network.layers.begin(),
                             {"standardize_weights", "s", {"w"}, {"w.standard"}, {}});
  from.network.layers[1].inputs[1] = "w.standard";
  from.values["w"] = {1, 2, 3};
  const Imported back = imported(exported(from));
  EXPECT_EQ(ops(back.network), "conv2d flatten");
  const std::vector<float>& got = back.values.at("w.standard");
  EXPECT_NEAR(got[0], -1, 2e-5);
  EXPECT_EQ(got[1], 0);
  EXPECT_NEAR(got[2], 1, 2e-5);
}

TEST(Export, AFloorUnderTheScaleIsPartOfTheScale) {
  Imported from = imported(nodes("n = BatchNormalization (x, g, b, m, v) y = Flatten (n)",
                                 {{"g", {3}}, {"b", {3}}, {"m", {3}}, {"v", {3}}}));
  from.network.layers[0].attributes.set("scale_floor", 0.5);
  from.values["g"] = {-1, 0, 1};
  EXPECT_EQ(imported(exported(from)).values.at("g"), (std::vector<float>{1.5F, 0.5F, 1.5F}));
}

// Numbers between these, other ones for each name.
std::vector<float> drawn(const std::string& name, int64_t count, double low, double high) {
  std::minstd_rand random(static_cast<unsigned>(hash_of(name)));
  std::uniform_real_distribution<double> uniform(low, high);
  std::vector<float> values;
  for (int64_t i = 0; i < count; ++i) values.push_back(static_cast<float>(uniform(random)));
  return values;
}

// A network with numbers that keep the size of what passes through.
Imported with_numbers(const Network& network) {
  Imported made{network, {}, {}};
  for (const NetworkParameter& p : network.parameters) {
    const int64_t count = p.shape.elements();
    const bool variance = p.name.ends_with("var");
    const double bound =
        std::sqrt(6.0 * static_cast<double>(p.shape[0]) / static_cast<double>(count));
    made.values[p.name] = drawn(p.name, count, variance ? 0.5 : -bound, variance ? 1.5 : bound);
  }
  return made;
}

TEST(Export, WhatComesBackComputesTheSame) {
  for (const char* norm : {"batch", "group"}) {
    for (const char* name : {"lenet", "mobilenet_v2", "resnet18_cifar", "revnet18", "irevnet"}) {
      SCOPED_TRACE(str_cat(name, " with norm ", norm));
      ModelOptions o;
      o.batch = 2;
      o.height = 32;
      o.classes = 4;
      o.width = 0.25;
      o.norm = norm;
      o = resolve_options(find_model(name), o);
      const Imported from = with_numbers(network_of(build_model(name, o), o));
      const Imported back = imported(exported(from));
      const int64_t count = 2 * from.network.image.elements();
      const std::vector<float> images = drawn("images", count, -1, 1);
      const std::vector<double> pixels(images.begin(), images.end());
      const std::vector<double> a = logits(from, pixels), b = logits(back, pixels);
      ASSERT_EQ(a.size(), 8u);
      ASSERT_EQ(b.size(), a.size());
      EXPECT_NE(a[0], a[4]);  // the images count
      for (size_t i = 0; i < a.size(); ++i) {
        EXPECT_NEAR(a[i], b[i], 1e-5 * std::max(1.0, std::abs(a[i])));
      }
    }
  }
}

// What ONNX says with several nodes, and what has attributes.
TEST(Export, LayersThatAreTakenApartComputeTheSame) {
  const std::string gelu =
      "r = Constant <value_float = 1.4142135> () one = Constant <value_float = 1.0> ()"
      " half = Constant <value_float = 0.5> () d = Div (x, r) e = Erf (d) o = Add (e, one)"
      " m = Mul (x, o) a = Mul (m, half)";
  for (const std::string& body : {
           std::string("s = Sigmoid (x) a = Mul (x, s)"),
           std::string("a = HardSwish (x)"),
           std::string("a = HardSigmoid <alpha = 0.3, beta = 0.4> (x)"),
           std::string("a = LeakyRelu <alpha = 0.1> (x)"),
           std::string("a = Elu <alpha = 0.7> (x)"),
           std::string("a = Clip <min = 0.0, max = 6.0> (x)"),
           std::string("a = MaxPool <kernel_shape = [3,3], strides = [2,2], ceil_mode = 1> (x)"),
           std::string("a = AveragePool <kernel_shape = [3,3], pads = [1,1,1,1]> (x)"),
           std::string("a = SpaceToDepth <blocksize = 2> (x)"),
           gelu,
       }) {
    SCOPED_TRACE(body);
    const int64_t opset = body.find("Clip") == 4 ? 9 : body.find("HardSwish") == 4 ? 14 : 13;
    const Imported from = imported(nodes(body + " y = Flatten (a)", {}, opset));
    const Imported back = imported(exported(from));
    const std::vector<float> images = drawn("images", 2 * 3 * 8 * 8, -8, 8);
    const std::vector<double> pixels(images.begin(), images.end());
    const std::vector<double> a = logits(from, pixels), b = logits(back, pixels);
    ASSERT_EQ(a.size(), b.size());
    for (size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], 1e-5);
  }
}

TEST(Export, WorksForModelsOfTheZoo) {
  for (const char* norm : {"batch", "group"}) {
    for (const char* name : {"lenet", "mobilenet_v2", "resnet18_cifar", "revnet18", "irevnet"}) {
      SCOPED_TRACE(str_cat(name, " with norm ", norm));
      ModelOptions o;
      o.batch = 2;
      o.height = 32;
      o.classes = 4;
      o.norm = norm;
      o = resolve_options(find_model(name), o);
      const Network network = network_of(build_model(name, o), o);
      const auto ones = [](const std::string&, float* to, int64_t count) {
        std::fill(to, to + count, 1.0F);
      };
      onnx::ModelProto out = export_network(network, ones);
      EXPECT_NO_THROW(onnx::checker::check_model(out));
      const Imported back = imported(std::move(out));
      EXPECT_EQ(ops(back.network), ops(network));
    }
  }
}

TEST(Export, FilesGoBothWaysToTheSameBytes) {
  const std::string folder = testing::TempDir();
  const std::string a = folder + "/a.onnx", b = folder + "/b.thimble", c = folder + "/c.onnx",
                    d = folder + "/d.thimble";
  write_model(a,
              exported(imported(nodes("a = Conv (x, w) y = Flatten (a)", {{"w", {2, 3, 1, 1}}}))));
  import_file(a, b);
  export_file(b, c);
  import_file(c, d);
  EXPECT_EQ(read_network(b), read_network(d));
  for (const std::string& path : {a, b, c, d}) std::filesystem::remove(path);
}

}  // namespace
}  // namespace thimble
