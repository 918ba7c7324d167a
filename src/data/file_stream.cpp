#include "data/file_stream.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace thimble {

FileStream::FileStream(const FileName& name, std::span<uint8_t> buffer)
    : name_(name),
      buffer_(buffer),
      // A pipe without a writer would wait for one.
      fd_(::openat(name.folder_fd, name.relative, O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
  if (fd_ < 0) fail("cannot open: ", std::strerror(errno));
  struct stat status;
  if (::fstat(fd_, &status) == 0 && S_ISREG(status.st_mode)) return;
  ::close(fd_);
  fail("not a regular file");
}

FileStream::~FileStream() { ::close(fd_); }

bool FileStream::fill() {
  ssize_t got = 0;
  do {
    got = ::read(fd_, buffer_.data(), buffer_.size());
  } while (got < 0 && errno == EINTR);
  ready_ = buffer_.first(got > 0 ? static_cast<size_t>(got) : 0);
  return got > 0;
}

}  // namespace thimble
