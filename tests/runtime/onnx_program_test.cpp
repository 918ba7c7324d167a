#include "runtime/onnx_program.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <optional>

#include "data/fixtures.h"
#include "support/expect_error.h"

namespace thimble {
namespace {

using data_test::TempDir;

// A variable of the environment, until the test ends.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) {
    if (const char* before = std::getenv(name)) before_ = before;
    ::setenv(name, value.c_str(), 1);
  }
  ~Variable() {
    if (before_) {
      ::setenv(name_, before_->c_str(), 1);
    } else {
      ::unsetenv(name_);
    }
  }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
  std::optional<std::string> before_;
};

std::string text_of(const std::string& path) {
  const data_test::Bytes bytes = data_test::read_file(path);
  return {bytes.begin(), bytes.end()};
}

// A folder with a program of shell in the place of thimble-onnx.
class OnnxProgram : public testing::Test {
 protected:
  void program_is(const std::string& script) {
    std::ofstream(program()) << "#!/bin/sh\n" << script << '\n';
    std::filesystem::permissions(program(), std::filesystem::perms::owner_all);
  }
  std::string program() const { return dir_ / "thimble-onnx"; }
  std::string onnx() const { return dir_ / "net.onnx"; }
  std::string network() const { return dir_ / "net.thimble"; }
  void onnx_is(const std::string& text) { std::ofstream(onnx()) << text; }
  // Adds a line to "calls" each time, and copies the file.
  void program_copies() { program_is("echo \"$1\" >>'" + dir_ / "calls" + "'; cp \"$2\" \"$3\""); }

  const TempDir dir_;

 private:
  const Variable path_{"THIMBLE_ONNX", program()};
  const Variable cache_{"XDG_CACHE_HOME", dir_.path()};
};

TEST_F(OnnxProgram, IsNotThere) {
  expect_user_error([&] { onnx_to_network(onnx(), network()); },
                    onnx() + ": " + program() +
                        ", which reads and writes ONNX, is not there; it is built when "
                        "libonnx-dev is installed; hint: set THIMBLE_ONNX to where it is");
}

TEST_F(OnnxProgram, SaysWhatIsWrongWithAFile) {
  program_is("echo 'thimble-onnx: error: net.onnx: is of opset 3' >&2; exit 2");
  try {
    onnx_to_network(onnx(), network());
    ADD_FAILURE() << "nothing was thrown";
  } catch (const UserError& error) {
    EXPECT_EQ(std::string(error.what()), "net.onnx: is of opset 3");
  }
}

TEST_F(OnnxProgram, IsKilled) {
  program_is("kill -9 $$");
  expect_user_error([&] { network_to_onnx(network(), onnx()); },
                    network() + ": " + program() + " ended with code 137");
}

TEST_F(OnnxProgram, FailsWithItsOwnWords) {
  program_is("echo 'thimble-onnx: error: oh' >&2; exit 1");
  expect_user_error([&] { onnx_to_network(onnx(), network()); },
                    onnx() + ": " + program() + " ended with code 1: oh");
}

TEST_F(OnnxProgram, HasSomethingToSayOfWhatItTook) {
  onnx_is("one");
  program_is("echo 'a note' >&2; cp \"$2\" \"$3\"");
  EXPECT_EQ(onnx_to_network(onnx(), network()), "a note\n");
  EXPECT_EQ(text_of(network()), "one");
}

TEST_F(OnnxProgram, ConvertsAFileOnce) {
  onnx_is("one");
  program_copies();
  const std::string first = converted_onnx(onnx());
  EXPECT_EQ(first.find(dir_ / "thimble/net-"), 0u) << first;
  EXPECT_EQ(text_of(first), "one");
  EXPECT_EQ(converted_onnx(onnx()), first);
  EXPECT_EQ(text_of(dir_ / "calls"), "import\n");
}

TEST_F(OnnxProgram, ConvertsAChangedFileAgain) {
  onnx_is("one");
  program_copies();
  const std::string first = converted_onnx(onnx());
  onnx_is("another");
  const std::string second = converted_onnx(onnx());
  EXPECT_NE(first, second);
  EXPECT_EQ(text_of(second), "another");
  EXPECT_EQ(text_of(dir_ / "calls"), "import\nimport\n");
}

}  // namespace
}  // namespace thimble
