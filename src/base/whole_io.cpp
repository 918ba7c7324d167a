#include "base/whole_io.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>

namespace thimble {

bool write_all(int file, const void* bytes, int64_t count) {
  const auto* next = static_cast<const char*>(bytes);
  while (count > 0) {
    const ssize_t put = ::write(file, next, static_cast<size_t>(count));
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return false;
    next += put;
    count -= put;
  }
  return true;
}

int64_t read_all(int file, void* to, int64_t bytes, int64_t offset) {
  auto* next = static_cast<char*>(to);
  int64_t done = 0;
  while (done < bytes) {
    const ssize_t got =
        ::pread(file, next + done, static_cast<size_t>(bytes - done), offset + done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return got;
    if (got == 0) break;
    done += got;
  }
  return done;
}

// Beyond the limit of the shell the system would send a signal instead.
int take_room(int file, int64_t bytes) {
  rlimit limit = {};
  if (::getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
      limit.rlim_cur < static_cast<rlim_t>(bytes)) {
    return EFBIG;
  }
  int failed = ::posix_fallocate(file, 0, bytes);
  while (failed == EINTR) failed = ::posix_fallocate(file, 0, bytes);
  return failed;
}

std::string read_to_end(int file, size_t most) {
  std::string text;
  char piece[4096];
  for (;;) {
    const ssize_t got = ::read(file, piece, sizeof piece);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return text;
    text.append(piece, static_cast<size_t>(got));
    if (text.size() > 2 * most) text.erase(0, text.size() - most);
  }
}

}  // namespace thimble
