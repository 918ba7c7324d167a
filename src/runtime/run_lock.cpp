#include "runtime/run_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "base/aside_file.h"
#include "base/error.h"

namespace thimble {
namespace {

// A process that was just killed holds its lock until the kernel has taken its memory back.
constexpr std::chrono::milliseconds kPatience{2000};
constexpr std::chrono::milliseconds kPause{20};

// 0 or the error's number.
int try_lock(int fd) {
  const auto give_up = std::chrono::steady_clock::now() + kPatience;
  while (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    if (errno != EWOULDBLOCK || std::chrono::steady_clock::now() >= give_up) return errno;
    std::this_thread::sleep_for(kPause);
  }
  return 0;
}

}  // namespace

RunLock::RunLock(const std::string& folder)
    : fd_(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
  require(fd_ >= 0, folder, ": cannot open the run folder: ", std::strerror(errno));
  const int error = try_lock(fd_);
  if (error == 0) {
    remove_aside_files(folder);
    return;
  }
  ::close(fd_);
  require(error != EWOULDBLOCK, folder,
          ": another process is training in this run folder, needed a folder that nobody writes "
          "to; hint: wait until it has ended, or name another folder");
  throw UserError(str_cat(folder, ": cannot lock the run folder: ", std::strerror(error),
                          "; hint: use a folder on a local disk"));
}

RunLock::~RunLock() { ::close(fd_); }

}  // namespace thimble
