#include "data/gzip_cache.h"

#include <sys/stat.h>

#include "fixtures.h"

namespace thimble::data_test {
namespace {

size_t files_in(const std::string& folder) {
  const std::filesystem::directory_iterator begin(folder);
  return static_cast<size_t>(std::distance(begin, std::filesystem::directory_iterator{}));
}

Bytes many_bytes(size_t count) {
  Bytes bytes(count);
  for (size_t i = 0; i < count; ++i) bytes[i] = static_cast<uint8_t>(i * i / 7);
  return bytes;
}

TEST(GzipCache, CopyHoldsThePackedBytes) {
  const TempDir dir;
  const Bytes bytes = many_bytes(100'000);
  gzip_file(dir / "a.gz", bytes);
  EXPECT_EQ(read_file(unpacked_copy(dir / "a.gz", dir / "cache")), bytes);
  EXPECT_EQ(files_in(dir / "cache"), 1u);
}

TEST(GzipCache, UnpacksOnce) {
  const TempDir dir;
  gzip_file(dir / "a.gz", {1, 2, 3});
  const std::string copy = unpacked_copy(dir / "a.gz", dir / "cache");
  write_file(copy, {9});  // still there afterwards: the copy was not made again
  EXPECT_EQ(unpacked_copy(dir / "a.gz", dir / "cache"), copy);
  EXPECT_EQ(read_file(copy), Bytes{9});
}

TEST(GzipCache, ChangedFileIsUnpackedAgain) {
  const TempDir dir;
  gzip_file(dir / "a.gz", {1, 2, 3});
  const std::string copy = unpacked_copy(dir / "a.gz", dir / "cache");
  gzip_file(dir / "a.gz", {4, 5, 6, 7, 8, 9, 10, 11, 12});
  const std::string other = unpacked_copy(dir / "a.gz", dir / "cache");
  EXPECT_NE(copy, other);
  EXPECT_EQ(read_file(other).size(), 9u);
}

TEST(GzipCache, CutFileIsAnErrorAndLeavesNothing) {
  const TempDir dir;
  gzip_file(dir / "a.gz", many_bytes(100'000));
  cut_file(dir / "a.gz", std::filesystem::file_size(dir / "a.gz") / 2);
  EXPECT_EQ(error_of([&] { unpacked_copy(dir / "a.gz", dir / "cache"); }),
            dir / "a.gz: cannot unpack: the file ends early");
  EXPECT_EQ(files_in(dir / "cache"), 0u);
}

TEST(GzipCache, DamagedFileIsAnError) {
  const TempDir dir;
  gzip_file(dir / "a.gz", many_bytes(100'000));
  Bytes packed = read_file(dir / "a.gz");
  packed[packed.size() - 6] ^= 1;  // in the checksum
  write_file(dir / "a.gz", packed);
  EXPECT_CONTAINS(error_of([&] { unpacked_copy(dir / "a.gz", dir / "cache"); }),
                  "a.gz: cannot unpack: ");
  EXPECT_EQ(files_in(dir / "cache"), 0u);
}

TEST(GzipCache, FileThatIsNotPackedIsAnError) {
  const TempDir dir;
  write_file(dir / "a.gz", {1, 2, 3});
  EXPECT_EQ(error_of([&] { unpacked_copy(dir / "a.gz", dir / "cache"); }),
            dir / "a.gz: not a gzip file");
}

// Sets a variable of the environment until the end of the test.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) {
    if (const char* old = std::getenv(name)) old_ = old;
    ::setenv(name, value.c_str(), 1);
  }
  ~Variable() { old_.empty() ? ::unsetenv(name_) : ::setenv(name_, old_.c_str(), 1); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
  std::string old_;
};

TEST(GzipCache, CopyGoesToTheUsersCacheFolder) {
  const TempDir dir;
  gzip_file(dir / "a.gz", {1, 2, 3});
  const Variable cache("XDG_CACHE_HOME", dir / "xdg");
  EXPECT_TRUE(unpacked_copy(dir / "a.gz").starts_with(dir / "xdg/thimble/a-"));
}

TEST(GzipCache, FallsBackToAPrivateTemporaryFolder) {
  const TempDir dir;
  gzip_file(dir / "a.gz", {1, 2, 3});
  write_file(dir / "file", {});
  const Variable cache("XDG_CACHE_HOME", dir / "file");
  const Variable home("HOME", dir / "file");
  const Variable tmp("TMPDIR", dir.path());
  const std::string copy = unpacked_copy(dir / "a.gz");
  EXPECT_TRUE(copy.starts_with(dir / "thimble-"));
  struct stat status;
  ASSERT_EQ(::stat(std::filesystem::path(copy).parent_path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0700u);
}

// A pipe without a writer would wait for ever.
TEST(GzipCache, PipeIsAnError) {
  const TempDir dir;
  ASSERT_EQ(::mkfifo((dir / "pipe.gz").c_str(), 0600), 0);
  EXPECT_EQ(error_of([&] { unpacked_copy(dir / "pipe.gz", dir.path()); }),
            dir / "pipe.gz: not a regular file");
}

}  // namespace
}  // namespace thimble::data_test
