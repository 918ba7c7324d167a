#include "base/child_task.h"

#include <signal.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "base/error.h"
#include "base/whole_io.h"

namespace thimble {
namespace {

// The first letter of what a child sends.
constexpr char kResult = 'r';
constexpr char kUserError = 'u';
constexpr char kDoesNotFit = 'n';
constexpr char kBug = 'b';
constexpr char kOtherError = 'e';

std::string outcome(const std::function<std::string()>& work) {
  try {
    return kResult + work();
  } catch (const DoesNotFit& error) {
    return kDoesNotFit + std::string(error.what());
  } catch (const UserError& error) {
    return kUserError + std::string(error.what());
  } catch (const InternalError& error) {
    return kBug + std::string(error.what());
  } catch (const std::exception& error) {
    return kOtherError + std::string(error.what());
  }
}

// The child's work is nobody's once the parent is gone, and it holds the parent's locks: it must
// not live on. Signals end it as usual, whatever the parent does with them.
void follow(int parent) {
#ifdef __linux__
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
  if (::getppid() != parent) ::_exit(1);
  for (const int number : {SIGINT, SIGTERM}) {
    struct sigaction action = {};
    ::sigaction(number, nullptr, &action);
    if (action.sa_handler != SIG_IGN) ::signal(number, SIG_DFL);
  }
}

int waited_for(int pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

}  // namespace

ChildTask::ChildTask(const std::function<std::string()>& work) {
  int ends[2];
  if (::pipe(ends) != 0) {
    throw std::runtime_error(str_cat("cannot start a child process: ", std::strerror(errno)));
  }
  const int parent = ::getpid();
  pid_ = ::fork();
  if (pid_ == 0) {
    follow(parent);
    ::close(ends[0]);
    // Not `exit`: what the parent has open and registered is the parent's.
    const std::string text = outcome(work);
    ::_exit(write_all(ends[1], text.data(), static_cast<int64_t>(text.size())) ? 0 : 1);
  }
  const int reason = errno;
  ::close(ends[1]);
  pipe_ = ends[0];
  if (pid_ > 0) return;
  ::close(pipe_);
  throw std::runtime_error(str_cat("cannot start a child process: ", std::strerror(reason)));
}

ChildTask::~ChildTask() {
  if (pid_ <= 0) return;
  ::close(pipe_);
  ::kill(pid_, SIGKILL);
  waited_for(pid_);
}

std::string ChildTask::result() {
  ensure(pid_ > 0, "a child's result is asked for twice");
  const std::string text = read_to_end(pipe_);
  ::close(std::exchange(pipe_, -1));
  const int status = waited_for(std::exchange(pid_, -1));
  if (WIFSIGNALED(status)) {
    throw ChildKilled(str_cat("a child process was ended by signal ", WTERMSIG(status)));
  }
  if (WEXITSTATUS(status) != 0 || text.empty()) {
    throw std::runtime_error("a child process ended without a result");
  }
  if (text[0] == kDoesNotFit) throw DoesNotFit(text.substr(1));
  if (text[0] == kUserError) throw UserError(text.substr(1));
  if (text[0] == kBug) throw InternalError(text.substr(1));
  if (text[0] == kOtherError) throw std::runtime_error(text.substr(1));
  return text.substr(1);
}

}  // namespace thimble
