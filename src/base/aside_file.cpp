#include "base/aside_file.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/whole_io.h"

namespace thimble {
namespace {

namespace fs = std::filesystem;

// A call that a signal may interrupt.
template <class Call>
auto retried(const Call& call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

fs::path folder_of(const std::string& path) {
  const fs::path folder = fs::path(path).parent_path();
  return folder.empty() ? fs::path(".") : folder;
}

constexpr std::string_view kMark = ".tmp-";  // between a file's name and its writer's number

// The writer's number in `.<name>.tmp-<pid>`; 0 when the name is of another kind.
pid_t writer_of(std::string_view name) {
  const size_t mark = name.rfind(kMark);
  if (!name.starts_with('.') || mark == name.npos || mark < 2) return 0;
  const std::string_view digits = name.substr(mark + kMark.size());
  pid_t pid = 0;
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), pid);
  const bool whole = parsed.ec == std::errc() && parsed.ptr == digits.data() + digits.size();
  return whole && pid > 0 ? pid : 0;
}

// Written aside for `target`, or for what was itself aside for it.
bool is_aside_of(std::string_view name, std::string_view target) {
  while (writer_of(name) > 0) {
    name = name.substr(1, name.rfind(kMark) - 1);
    if (name == target) return true;
  }
  return false;
}

// Removes the files aside in the folder of which `stale(name, writer)` holds.
template <class Stale>
void remove_asides(const fs::path& folder, const Stale& stale) {
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename().string();
    const pid_t writer = writer_of(name);
    if (writer > 0 && stale(name, writer)) ::unlink(at->path().c_str());
  }
}

}  // namespace

AsideFile::AsideFile(std::string path) : path_(std::move(path)), aside_path_(aside_path(path_)) {
  remove_stale_asides(path_);
  fd_ = retried(
      [&] { return ::open(aside_path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666); });
  if (fd_ < 0) fail();
}

AsideFile::~AsideFile() {
  if (fd_ >= 0) ::close(fd_);
  if (!aside_path_.empty()) ::unlink(aside_path_.c_str());
}

int AsideFile::take_room(int64_t bytes) { return thimble::take_room(fd_, bytes); }

void AsideFile::write(const void* bytes, int64_t count) {
  if (!write_all(fd_, bytes, count)) fail();
}

void AsideFile::commit() {
  if (retried([&] { return ::fsync(fd_); }) != 0) fail();
  if (::close(std::exchange(fd_, -1)) != 0) fail();
  if (::rename(aside_path_.c_str(), path_.c_str()) != 0) fail();
  aside_path_.clear();

  const int folder = ::open(folder_of(path_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) fail();
  // EINVAL: a file system whose folders cannot be synced.
  const bool synced = retried([&] { return ::fsync(folder); }) == 0 || errno == EINVAL;
  const int reason = errno;
  ::close(folder);
  errno = reason;
  if (!synced) fail();
}

void AsideFile::fail() const {
  throw UserError(str_cat(path_, ": cannot write: ", std::strerror(errno)));
}

std::string aside_path(const std::string& path) {
  const std::string name = fs::path(path).filename().string();
  return (folder_of(path) / str_cat('.', name, kMark, ::getpid())).string();
}

void remove_stale_asides(const std::string& path) {
  const std::string target = fs::path(path).filename().string();
  // Our own number belongs to an earlier process: in a container it is the same each time.
  remove_asides(folder_of(path), [&](const std::string& name, pid_t writer) {
    const bool dead = writer == ::getpid() || (::kill(writer, 0) != 0 && errno == ESRCH);
    return dead && is_aside_of(name, target);
  });
}

void remove_aside_files(const std::string& folder) {
  remove_asides(folder, [](const std::string&, pid_t) { return true; });
}

}  // namespace thimble
