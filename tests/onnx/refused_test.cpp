#include <onnx/onnx_pb.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "onnx/convert_files.h"
#include "onnx/model_file.h"
#include "onnx/models.h"
#include "support/expect_error.h"

namespace thimble {
namespace {

TEST(Refused, EverythingIsListedAtOnce) {
  try {
    imported(
        nodes("a = Mystery (x) b = Relu (a) c = Softplus (b) d = Sin (x) e = Add (d, c)"
              " y = Flatten (e)"));
    FAIL() << "it was imported";
  } catch (const UserError& e) {
    EXPECT_EQ(std::string(e.what()),
              "3 nodes cannot be imported:\n"
              "  Mystery_0 (Mystery): thimble has no such op; hint: replace it in the model, or"
              " export the model up to the node before it\n"
              "  Softplus_2 (Softplus): thimble has no such op; hint: use ReLU, leaky ReLU, ELU,"
              " SiLU, GELU or hard swish, and retrain\n"
              "  Sin_3 (Sin): thimble has no such op; hint: replace it in the model, or"
              " export the model up to the node before it");
  }
}

TEST(Refused, LeftoversOfPatternsAreListedToo) {
  expect_user_error(
      [] {
        imported(
            nodes("a = Mystery (x) six = Constant <value_float = 5.0> ()"
                  " c = Clip (x, , six) e = Add (a, c) y = Flatten (e)"));
      },
      "2 nodes cannot be imported:");
  expect_user_error([] { imported(nodes("t = Transpose <perm = [0,2,1,3]> (x) y = Flatten (t)")); },
                    "Transpose_0 (Transpose): moves the axes of images about");
}

TEST(Refused, WrongModelsSayWhatIsWrong) {
  const auto fails = [](onnx::ModelProto m, const std::string& words) {
    expect_user_error([&] { imported(std::move(m)); }, words);
  };
  fails(nodes("y = Flatten (x)", {}, 3), "is of opset 3, needed 9 to 17");
  fails(nodes("y = Flatten (z)"), "node Flatten_0 reads z, which nothing makes before it");
  fails(nodes("b = Relu (a) a = Relu (b) y = Flatten (a)"), "which nothing makes before it");
  fails(nodes("a = Relu (x) a = Relu (x) y = Flatten (a)"), "the tensor a is made twice");
  fails(nodes("w = Relu (x) y = Flatten (w)", {{"w", {1}}}), "the tensor w is made twice");
  fails(nodes("x = Relu (z) y = Flatten (x)"), "the tensor x is made twice");
  fails(model("g (float[N,3,8,8] x, float[N,3,8,8] z) => (float[N,M] y) { y = Add (x, z) }"),
        "has the inputs x and z, needed one");
  fails(model("g (float[N,3,8,8] x) => (float[N,M] y, float[N] z) { y = Flatten (x) }"),
        "has 2 outputs, needed 1");
  fails(model("g (float[N,3,8] x) => (float[N,M] y) { y = Flatten (x) }"), "has 3 dimensions");
  fails(model("g (float[N,3,H,8] x) => (float[N,M] y) { y = Flatten (x) }"), "leaves size 2 open");
  fails(nodes("y = Identity (x)"), "has no layers");
  fails(nodes("y = Constant <value_float = 1.0> ()"), "is not computed from its input");
}

TEST(Refused, NumbersThatAreNotThereAreNotMadeRoomFor) {
  onnx::ModelProto m = nodes("a = Conv (x, w) y = Flatten (a)", {{"w", {2, 3, 1, 1}}});
  auto& w = *m.mutable_graph()->mutable_initializer(0);
  w.set_dims(0, int64_t{1} << 40);
  expect_user_error([&] { imported(m); },
                    "its tensor w has 6 numbers, its shape asks for 3298534883328");
  w.set_dims(1, int64_t{1} << 62);
  expect_user_error([&] { imported(m); }, "its tensor w has more than");
  w.set_dims(0, -2);
  expect_user_error([&] { imported(m); }, "its tensor w has a size of -2");
  w.clear_float_data();
  w.set_data_location(onnx::TensorProto::EXTERNAL);
  expect_user_error([&] { imported(m); }, "its tensor w keeps its numbers in another file");
}

TEST(Refused, AbsurdSizesEndInOneError) {
  const auto fails = [](const std::string& body) {
    EXPECT_THROW(imported(nodes(body, {{"w", {2, 3, 1, 1}}})), UserError) << body;
  };
  fails(
      "n = Constant <value_ints = [1000000000,1000000000]> ()"
      " c = ConstantOfShape (n) y = Add (x, c)");
  fails("a = Conv <pads = [9000000000000000000,0,0,0]> (x, w) y = Flatten (a)");
  fails("a = Conv <strides = [0,0]> (x, w) y = Flatten (a)");
  fails("a = Conv <group = 9000000000000000000> (x, w) y = Flatten (a)");
  fails(
      "a = Conv <pads = [16000000,16000000,16000000,16000000]> (x, w)"
      " b = Conv <pads = [16000000,16000000,16000000,16000000]> (a, w) y = Flatten (b)");
  fails("a = MaxPool <kernel_shape = [9000000000000000000,1]> (x) y = Flatten (a)");
  fails(
      "to = Constant <value_ints = [0,9000000000000000000,9000000000000000000]> ()"
      " y = Reshape (x, to)");
  fails(
      "lots = Constant <value = int64 {9000000000000000000}> () none = Constant <value = int64"
      " {0}> () one = Constant <value = int64 {1}> () r = Range (none, lots, one)"
      " y = Reshape (x, r)");
  fails("a = Constant <value_ints = [9223372036854775807]> () b = Mul (a, a) y = Reshape (x, b)");
}

TEST(Refused, WrongTypesOfAttributesAreNamed) {
  expect_user_error([] { imported(nodes("y = Flatten <axis = 1.0> (x)")); },
                    "Flatten_0 (Flatten): its attribute 'axis' has the wrong type");
}

class Files : public testing::Test {
 protected:
  Files() : path_(testing::TempDir() + "/model.onnx") {}
  ~Files() override { std::filesystem::remove(path_); }

  void write(const std::string& bytes) {
    std::ofstream(path_, std::ios::binary | std::ios::trunc) << bytes;
  }
  std::string path_;
};

TEST_F(Files, ThatAreNoModelsAreRefused) {
  expect_user_error([&] { check_file(path_); }, "cannot open");
  write("");
  expect_user_error([&] { check_file(path_); }, "is empty");
  write("Lorem ipsum dolor sit amet");
  expect_user_error([&] { check_file(path_); }, "is no ONNX model, or a broken one");
  expect_user_error([&] { check_file(testing::TempDir()); }, "is no file");
}

TEST_F(Files, CutAnywhereAreRefused) {
  const std::string whole =
      nodes("a = Conv (x, w) n = Relu (a) y = Flatten (n)", {{"w", {2, 3, 1, 1}}})
          .SerializeAsString();
  write(whole);
  EXPECT_TRUE(check_file(path_).empty());
  for (size_t length = 0; length < whole.size(); ++length) {
    write(whole.substr(0, length));
    EXPECT_THROW(check_file(path_), UserError) << length;
  }
}

TEST_F(Files, WithOneByteChangedAreImportedOrRefused) {
  const std::string whole =
      nodes("a = Conv (x, w) n = Relu (a) y = Flatten (n)", {{"w", {2, 3, 1, 1}}})
          .SerializeAsString();
  for (size_t at = 0; at < whole.size(); ++at) {
    for (int bit = 0; bit < 8; bit += 3) {
      std::string changed = whole;
      changed[at] = static_cast<char>(changed[at] ^ (1 << bit));
      write(changed);
      try {
        check_file(path_);
      } catch (const UserError&) {
      }
    }
  }
}

}  // namespace
}  // namespace thimble
