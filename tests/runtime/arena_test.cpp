#include "runtime/arena.h"

#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "data/fixtures.h"

namespace thimble {
namespace {

using data_test::TempDir;

// The line of the system's table of this process's memory that has the address.
std::string mapping_of(const std::byte* address) {
  std::ifstream maps("/proc/self/maps");
  const auto wanted = reinterpret_cast<uintptr_t>(address);
  for (std::string line; std::getline(maps, line);) {
    const size_t dash = line.find('-');
    if (std::stoull(line.substr(0, dash), nullptr, 16) <= wanted &&
        wanted < std::stoull(line.substr(dash + 1), nullptr, 16)) {
      return line;
    }
  }
  return "";
}

TEST(Arena, WholePagesOfWhatIsConstantAreReadOnlyAndFromAFile) {
  const TempDir dir;
  Arena arena(3 * 4096);
  for (int64_t i = 0; i < arena.bytes(); ++i) arena.data()[i] = std::byte(i % 251);
  EXPECT_TRUE(arena.map_constant(2 * 4096 - 1, dir.path()));
  const std::string constant = mapping_of(arena.data());
  EXPECT_NE(constant.find(" r--p "), constant.npos) << constant;
  EXPECT_NE(constant.find("(deleted)"), constant.npos) << constant;
  const std::string rest = mapping_of(arena.data() + 4096);
  EXPECT_NE(rest.find(" rw-p "), rest.npos) << rest;
  for (int64_t i = 0; i < arena.bytes(); ++i) ASSERT_EQ(arena.data()[i], std::byte(i % 251)) << i;
}

TEST(Arena, StaysAsItIsWithoutAWholePageOrAFile) {
  Arena arena(2 * 4096);
  arena.data()[0] = std::byte(7);
  EXPECT_FALSE(arena.map_constant(4095, "."));
  EXPECT_FALSE(arena.map_constant(4096, "no/such/folder"));
  EXPECT_NE(mapping_of(arena.data()).find(" rw-p "), std::string::npos);
  EXPECT_EQ(arena.data()[0], std::byte(7));
}

}  // namespace
}  // namespace thimble
