#include "base/page_file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <filesystem>

#include "base/bytes.h"
#include "data/fixtures.h"
#include "support/allocations.h"
#include "support/expect_error.h"

namespace thimble {
namespace {

using data_test::TempDir;

std::vector<uint32_t> numbers(size_t count, uint32_t first) {
  std::vector<uint32_t> all(count);
  for (size_t i = 0; i < count; ++i) all[i] = first + 2654435761u * static_cast<uint32_t>(i);
  return all;
}

int64_t bytes_of(const std::vector<uint32_t>& values) { return std::ssize(values) * 4; }

// Largest size that a file may get, put back at the end of the scope.
class FileLimit {
 public:
  explicit FileLimit(int64_t bytes) {
    getrlimit(RLIMIT_FSIZE, &before_);
    rlimit limit = before_;
    limit.rlim_cur = static_cast<rlim_t>(bytes);
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileLimit() { setrlimit(RLIMIT_FSIZE, &before_); }
  FileLimit(const FileLimit&) = delete;
  FileLimit& operator=(const FileLimit&) = delete;

 private:
  rlimit before_ = {};
};

// Pages of one byte, of a part of a block and of several pieces.
TEST(PageFile, GivesBackWhatItTookAsOftenAsAsked) {
  const TempDir dir;
  const std::vector<size_t> counts = {1, 1000, (9 << 20) / 4 + 3, 1 << 20};
  PageFile file(dir.path());
  for (size_t p = 0; p < counts.size(); ++p) {
    file.book(static_cast<int64_t>(p), static_cast<int64_t>(counts[p]) * 4);
  }
  file.open();
  EXPECT_EQ(file.bytes(), 4096 + 4096 + round_up(bytes_of(numbers(counts[2], 0)), 4096) + 4 * kMiB);
  EXPECT_TRUE(std::filesystem::is_empty(dir.path())) << "nothing would be left after a kill";
  for (uint32_t round = 1; round < 4; ++round) {
    std::vector<std::vector<uint32_t>> given, got;
    for (size_t count : counts) {
      given.push_back(numbers(count, round));
      got.emplace_back(count);
    }
    for (size_t p = 0; p < counts.size(); ++p) file.start_write(int64_t(p), given[p].data());
    for (size_t p = counts.size(); p-- > 0;) file.wait(int64_t(p));
    for (int again = 0; again < 2; ++again) {
      for (size_t p = counts.size(); p-- > 0;) file.start_read(int64_t(p), got[p].data());
      for (size_t p = 0; p < counts.size(); ++p) file.wait(int64_t(p));
      EXPECT_TRUE(got == given);
    }
  }
}

TEST(PageFile, TransfersAllocateNothing) {
  if (!can_count_allocations()) GTEST_SKIP() << "the sanitizer owns the heap";
  const TempDir dir;
  PageFile file(dir.path());
  std::vector<uint32_t> values = numbers(100000, 1);
  file.book(0, bytes_of(values));
  file.open();
  start_counting_allocations();
  for (int i = 0; i < 5; ++i) {
    file.start_write(0, values.data());
    file.wait(0);
    file.start_read(0, values.data());
    file.wait(0);
  }
  EXPECT_EQ(stop_counting_allocations().own, 0);
}

TEST(PageFile, EndsWhileTransfersAreUnderWay) {
  const TempDir dir;
  std::vector<uint32_t> values = numbers(1 << 20, 1);
  for (int i = 0; i < 10; ++i) {
    PageFile file(dir.path());
    for (int64_t p = 0; p < 3; ++p) file.book(p, bytes_of(values));
    file.open();
    for (int64_t p = 0; p < 3; ++p) file.start_write(p, values.data());
  }
}

TEST(PageFile, SaysBeforeItBeginsWhenThereIsNoRoom) {
  const TempDir dir;
  PageFile nowhere(dir / "none");
  nowhere.book(0, 10);
  expect_user_error([&] { nowhere.open(); }, "none: cannot make a file for pages: No such file");
  const FileLimit limit(1 * kMiB);
  PageFile full(dir.path());
  full.book(0, 2 * kMiB);
  expect_user_error([&] { full.open(); }, "has no room for 2.00 MiB of pages: File too large");
  PageFile fits(dir.path());
  fits.book(0, 1 * kMiB);
  fits.open();
}

TEST(PageFile, AFailedTransferIsOneErrorForWhoWaits) {
  const TempDir dir;
  PageFile file(dir.path());
  const std::vector<uint32_t> values = numbers(1 << 18, 1);
  file.book(0, bytes_of(values));
  file.open();
  const auto before = std::signal(SIGXFSZ, SIG_IGN);
  {
    const FileLimit limit(4096);
    file.start_write(0, values.data());
    expect_user_error([&] { file.wait(0); }, "cannot write the pages of --offload: File too large");
  }
  std::signal(SIGXFSZ, before);
  file.start_write(0, values.data());
  file.wait(0);
}

TEST(PageFile, APageIsBookedWithOneSizeAndMovedOnceAtATime) {
  const TempDir dir;
  PageFile file(dir.path());
  file.book(3, 4096);
  file.book(3, 4096);
  EXPECT_THROW(file.book(3, 8192), InternalError);
  EXPECT_THROW(file.book(0, 0), InternalError);
  file.open();
  EXPECT_EQ(file.bytes(), 4096);
  EXPECT_THROW(file.start_write(4, nullptr), InternalError);
}

}  // namespace
}  // namespace thimble
