#include "base/aside_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "data/fixtures.h"

namespace thimble {
namespace {

using data_test::TempDir;
using data_test::write_file;
namespace fs = std::filesystem;

TEST(AsideFile, RemovesWhatItsDeadWritersLeft) {
  const TempDir dir;
  const std::string ours = dir / str_cat(".a.tmp-", ::getpid());
  write_file(ours, {1});
  write_file(dir / ".a.tmp-999999999", {1});  // larger than any number of a process
  write_file(dir / ".b.tmp-999999999", {1});  // of another file
  write_file(dir / ".a.tmp-1", {1});          // alive
  write_file(dir / ".a.tmp-x.tmp-999999999", {1});
  write_file(dir / "..a.tmp-999999998.tmp-999999999", {1});  // aside for what was aside
  {
    AsideFile file(dir / "a");
    file.write("new", 3);
    EXPECT_EQ(fs::file_size(ours), 3);
    file.commit();
  }
  EXPECT_FALSE(fs::exists(ours));
  EXPECT_FALSE(fs::exists(dir / ".a.tmp-999999999"));
  EXPECT_FALSE(fs::exists(dir / "..a.tmp-999999998.tmp-999999999"));
  EXPECT_TRUE(fs::exists(dir / ".b.tmp-999999999"));
  EXPECT_TRUE(fs::exists(dir / ".a.tmp-1"));
  EXPECT_TRUE(fs::exists(dir / ".a.tmp-x.tmp-999999999"));
}

TEST(AsideFile, TheOnlyWriterRemovesThemAllAndNothingElse) {
  const TempDir dir;
  for (const char* name : {".a.tmp-1", ".b.c.tmp-999999999"}) write_file(dir / name, {1});
  const std::vector<std::string> kept = {"a",         ".a.tmp-", ".a.tmp-0", ".a.tmp--1",
                                         ".a.tmp-1x", "a.tmp-1", ".tmp-1",   ".a"};
  for (const std::string& name : kept) write_file(dir / name, {1});
  remove_aside_files(dir.path());
  EXPECT_FALSE(fs::exists(dir / ".a.tmp-1"));
  EXPECT_FALSE(fs::exists(dir / ".b.c.tmp-999999999"));
  for (const std::string& name : kept) EXPECT_TRUE(fs::exists(dir / name)) << name;
  remove_aside_files(dir / "nowhere");
}

}  // namespace
}  // namespace thimble
