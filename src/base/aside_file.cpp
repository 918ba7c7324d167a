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

// Removes `<prefix><pid>` in the folder when no such process is alive. Our own number belongs to an
// earlier process: in a container it is the same each time.
void remove_stale(const fs::path& folder, const std::string& prefix) {
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename().string();
    if (!name.starts_with(prefix)) continue;
    pid_t pid = 0;
    const char* name_end = name.data() + name.size();
    const auto parsed = std::from_chars(name.data() + prefix.size(), name_end, pid);
    if (parsed.ec != std::errc() || parsed.ptr != name_end || pid <= 0) continue;
    if (pid == ::getpid() || (::kill(pid, 0) != 0 && errno == ESRCH)) {
      ::unlink(at->path().c_str());
    }
  }
}

}  // namespace

AsideFile::AsideFile(std::string path) : path_(std::move(path)) {
  const fs::path folder = folder_of(path_);
  const std::string prefix = "." + fs::path(path_).filename().string() + ".tmp-";
  remove_stale(folder, prefix);
  aside_path_ = (folder / (prefix + std::to_string(::getpid()))).string();
  fd_ = retried(
      [&] { return ::open(aside_path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666); });
  if (fd_ < 0) fail();
}

AsideFile::~AsideFile() {
  if (fd_ >= 0) ::close(fd_);
  if (!aside_path_.empty()) ::unlink(aside_path_.c_str());
}

void AsideFile::write(const void* bytes, int64_t count) {
  const auto* next = static_cast<const char*>(bytes);
  while (count > 0) {
    const ssize_t put = retried([&] { return ::write(fd_, next, static_cast<size_t>(count)); });
    if (put < 0) fail();
    next += put;
    count -= put;
  }
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

}  // namespace thimble
