#include "base/child_task.h"

#include <gtest/gtest.h>
#include <signal.h>
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

TEST(ChildTask, NobodyWaitsForAChildThatIsNotAsked) {
  ChildTask task([]() -> std::string {
    ::pause();
    return "never";
  });
}

}  // namespace
}  // namespace thimble
