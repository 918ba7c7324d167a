#include "runtime/device.h"

#include <gtest/gtest.h>

#include <fstream>

#include "cli/child.h"
#include "support/expect_error.h"

namespace thimble {
namespace {

using cli_test::TempDir;

TEST(ReadDevice, TakesFiguresInTheUnitsOfDataSheets) {
  const TempDir dir;
  const std::string file = dir / "watch.json";
  std::ofstream(file) << R"({"name": "watch", "gflops": 8, "gb_per_s": 2.5, "kernel_us": 20})";
  EXPECT_EQ(read_device(file), (Machine{8e9, 2.5e9, 20 / 1e6}));
  std::ofstream(file) << R"({"gflops": 8, "gb_per_s": 2.5})";
  EXPECT_EQ(read_device(file), (Machine{8e9, 2.5e9, 5 / 1e6}));
  std::ofstream(file) << R"({"gflops": 8, "gb_per_s": 2.5, "storage_mb_per_s": 40})";
  EXPECT_EQ(read_device(file).storage, (StorageSpeed{4e7, 4e7, 0}));
}

TEST(ReadDevice, SaysWhatAFileLacks) {
  const TempDir dir;
  const std::string file = dir / "watch.json";
  const auto expect = [&](const std::string& text, const std::string& message) {
    std::ofstream(file) << text;
    expect_user_error([&] { read_device(file); }, message);
  };
  expect("", "is not a JSON object such as {\"gflops\"");
  expect("[1]", "is not a JSON object");
  expect(R"({"gflops": 8})", "needs \"gb_per_s\", a number from 0.0001");
  expect(R"({"gflops": 0, "gb_per_s": 1})", "needs \"gflops\", a number from 0.0001");
  expect(R"({"gflops": "8", "gb_per_s": 1})", "needs \"gflops\", a number from 0.0001");
  expect(R"({"gflops": 8, "gb_per_s": 1, "storage_mb_per_s": 0})",
         "needs \"storage_mb_per_s\", a number from 0.0001");
  expect(R"({"gflop": 8, "gb_per_s": 1})", "knows no \"gflop\"");
  expect_user_error([&] { read_device(dir.path()); }, "is a folder");
  expect_user_error([&] { read_device(dir / "none.json"); }, "cannot read the description");
}

}  // namespace
}  // namespace thimble
