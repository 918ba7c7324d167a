#include "data/file_stream.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace thimble {

FileStream::FileStream(const FileName& name, std::span<uint8_t> buffer)
    : name_(name),
      buffer_(buffer),
      fd_(::openat(name.folder_fd, name.relative, O_RDONLY | O_CLOEXEC)) {
  if (fd_ < 0) fail("cannot open: ", std::strerror(errno));
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
