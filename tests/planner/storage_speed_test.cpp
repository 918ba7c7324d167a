#include "planner/storage_speed.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "cli/child.h"
#include "support/expect_error.h"

namespace thimble {
namespace {

using cli_test::TempDir;

class StorageSpeedTest : public testing::Test {
 protected:
  StorageSpeedTest() { setenv("XDG_CACHE_HOME", cache_.path().c_str(), 1); }
  ~StorageSpeedTest() override { unsetenv("XDG_CACHE_HOME"); }
  const TempDir cache_;
};

TEST_F(StorageSpeedTest, IsMeasuredAndKeptForTheDevice) {
  const TempDir dir, other;
  EXPECT_EQ(known_storage(dir.path()), StorageSpeed{});
  const StorageSpeed speed = measure_storage(dir.path());
  EXPECT_GT(speed.write_bytes_per_second, 1e5);
  EXPECT_GT(speed.read_bytes_per_second, 1e5);
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
  EXPECT_EQ(known_storage(dir.path()), speed);
  EXPECT_EQ(known_storage(other.path()), speed) << "another folder of the same device";
}

TEST_F(StorageSpeedTest, IsNotKnownFromAFileThatMakesNoSense) {
  const TempDir dir;
  measure_storage(dir.path());
  for (const auto& entry : std::filesystem::directory_iterator(cache_ / "thimble")) {
    std::ofstream(entry.path()) << "thimble of another machine\n1 2\n";
  }
  EXPECT_EQ(known_storage(dir.path()), StorageSpeed{});
}

TEST_F(StorageSpeedTest, SaysWhenNothingCanBeWrittenThere) {
  const TempDir dir;
  expect_user_error([&] { measure_storage(dir / "none"); }, "cannot make a file for pages");
  EXPECT_EQ(known_storage(dir / "none"), StorageSpeed{});
}

}  // namespace
}  // namespace thimble
