#include "base/child_task.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/expect_error.h"

namespace thimble {
namespace {

TEST(ChildTask, BringsBackTheTextOfAnotherProcess) {
  ChildTask task([] { return std::to_string(::getppid()); });
  EXPECT_EQ(task.result(), std::to_string(::getpid()));
}

TEST(ChildTask, TextMayBeLongerThanAPipeHolds) {
  ChildTask task([] { return std::string(1 << 20, 'x') + '\n'; });
  EXPECT_EQ(task.result().size(), (1u << 20) + 1);
}

TEST(ChildTask, MistakesOfTheUserStayMistakesOfTheUser) {
  ChildTask task([]() -> std::string { throw UserError("no such file"); });
  expect_user_error([&] { task.result(); }, "no such file");
}

TEST(ChildTask, OtherErrorsKeepTheirMessage) {
  ChildTask task([]() -> std::string { throw std::logic_error("broken"); });
  expect_error<std::runtime_error>([&] { task.result(); }, "broken");
}

TEST(ChildTask, AKilledChildIsAnError) {
  ChildTask task([]() -> std::string {
    ::raise(SIGKILL);
    return "never";
  });
  expect_error<std::runtime_error>([&] { task.result(); }, "ended by signal 9");
}

TEST(ChildTask, RefusalsAndBugsStayWhatTheyAre) {
  ChildTask refusal([]() -> std::string { throw DoesNotFit("too small"); });
  expect_error<DoesNotFit>([&] { refusal.result(); }, "too small");
  ChildTask bug([]() -> std::string { throw InternalError("no invariant"); });
  expect_error<InternalError>([&] { bug.result(); }, "no invariant");
}

// It would hold the locks of a process that is gone.
TEST(ChildTask, EndsWithItsParentInWhateverWayThatEnds) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const int parent = ::fork();
  if (parent == 0) {
    ChildTask task([&]() -> std::string {
      [[maybe_unused]] const ssize_t put = ::write(ends[1], "x", 1);
      ::pause();
      return "never";
    });
    ::pause();
    ::_exit(0);
  }
  ::close(ends[1]);
  char begun = 0;
  ASSERT_EQ(::read(ends[0], &begun, 1), 1);
  ::kill(parent, SIGKILL);
  ::waitpid(parent, nullptr, 0);
  // The end of the pipe comes when nobody holds its other side: at once, or never.
  pollfd end = {ends[0], POLLIN, 0};
  EXPECT_EQ(::poll(&end, 1, 5000), 1);
  EXPECT_EQ(::read(ends[0], &begun, 1), 0);
  ::close(ends[0]);
}

// The parent may note the signal and go on; the child has nothing to end in good order.
TEST(ChildTask, SignalsEndItWhateverTheParentDoesWithThem) {
  const auto before = ::signal(SIGTERM, [](int) {});
  ChildTask task([]() -> std::string {
    ::raise(SIGTERM);
    return "alive";
  });
  ::signal(SIGTERM, before);
  expect_error<ChildKilled>([&] { task.result(); }, "ended by signal 15");
}

TEST(ChildTask, NobodyWaitsForAChildThatIsNotAsked) {
  ChildTask task([]() -> std::string {
    ::pause();
    return "never";
  });
}

}  // namespace
}  // namespace thimble
