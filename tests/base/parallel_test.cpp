#include "base/parallel.h"

#include <gtest/gtest.h>

#include <atomic>
#include <vector>

#include "support/expect_error.h"

namespace thimble {
namespace {

struct Threads {
  explicit Threads(int count) : before(thread_count()) { set_thread_count(count); }
  ~Threads() { set_thread_count(before); }
  int before;
};

TEST(ParallelFor, VisitsEachIndexOnce) {
  for (int threads : {1, 2, 3, 7}) {
    const Threads use(threads);
    for (int64_t count : {0, 1, 2, 5, 6, 7, 100}) {
      for (int64_t grain : {0, 1, 3, 1000}) {
        std::vector<std::atomic<int>> visits(static_cast<size_t>(count));
        parallel_for(count, grain, [&](int64_t begin, int64_t end) {
          for (int64_t i = begin; i < end; ++i) ++visits.at(static_cast<size_t>(i));
        });
        for (const auto& v : visits) EXPECT_EQ(v, 1);
      }
    }
  }
}

int pieces(int64_t count, int64_t grain) {
  std::atomic<int> calls = 0;
  parallel_for(count, grain, [&](int64_t, int64_t) { ++calls; });
  return calls;
}

TEST(ParallelFor, SplitsIntoAtMostOnePiecePerThread) {
  const Threads use(3);
  EXPECT_EQ(pieces(100, 1), 3);
  EXPECT_EQ(pieces(2, 1), 2);
}

TEST(ParallelFor, KeepsSmallLoopsWhole) {
  const Threads use(3);
  EXPECT_EQ(pieces(100, 100), 1);
  EXPECT_EQ(pieces(101, 100), 2);
  EXPECT_EQ(pieces(0, 1), 0);
}

TEST(SetThreadCount, RefusesNoThreadsAndTooMany) {
  expect_user_error([] { set_thread_count(0); }, "threads must be between 1 and 1024, got 0");
  expect_user_error([] { set_thread_count(1025); }, "threads must be between 1 and 1024, got 1025");
}

}  // namespace
}  // namespace thimble
