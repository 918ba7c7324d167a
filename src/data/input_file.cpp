#include "data/input_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "base/hash.h"
#include "base/whole_io.h"

namespace thimble {

uint64_t stamp_of(const struct stat& status) {
  const std::array<int64_t, 3> facts = {status.st_size, status.st_mtim.tv_sec,
                                        status.st_mtim.tv_nsec};
  Hash hash;
  hash.add(facts.data(), sizeof facts);
  return hash.value();
}

InputFile::InputFile(std::string path)
    : path_(std::move(path)),
      // A pipe without a writer would wait for one.
      fd_(::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
  require(fd_ >= 0, path_, ": cannot open: ", std::strerror(errno));
  struct stat status;
  const bool regular = ::fstat(fd_, &status) == 0 && S_ISREG(status.st_mode);
  if (!regular) ::close(std::exchange(fd_, -1));
  require(regular, path_, ": not a regular file");
}

InputFile::~InputFile() {
  if (fd_ >= 0) ::close(fd_);
}

InputFile::InputFile(InputFile&& other) noexcept
    : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)) {}

int64_t InputFile::size() const {
  struct stat status;
  require(::fstat(fd_, &status) == 0, path_, ": cannot read its size: ", std::strerror(errno));
  return status.st_size;
}

uint64_t InputFile::stamp() const {
  struct stat status;
  require(::fstat(fd_, &status) == 0, path_, ": cannot read its size: ", std::strerror(errno));
  return stamp_of(status);
}

void InputFile::read_at(int64_t offset, void* to, int64_t bytes) const {
  const int64_t got = read_all(fd_, to, bytes, offset);
  require(got >= 0, path_, ": cannot read: ", std::strerror(errno));
  require(got == bytes, path_, ": ends at byte ", offset + got, "; needed ", bytes, " bytes at ",
          offset);
}

std::string read_text(const std::string& path, int64_t most) {
  const InputFile in(path);
  require(in.size() <= most, path, ": ", in.size(), " bytes; at most ", most, " are read");
  std::string text(static_cast<size_t>(in.size()), '\0');
  in.read_at(0, text.data(), in.size());
  return text;
}

}  // namespace thimble
