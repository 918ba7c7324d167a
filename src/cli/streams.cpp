#include "cli/streams.h"

#include <fcntl.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string_view>

namespace thimble::cli {
namespace {

// Returns 0 or the error's number.
int write_all(int file, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(file, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    text.remove_prefix(static_cast<size_t>(written));
  }
  return 0;
}

}  // namespace

void prepare_streams() {
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // a file beyond the shell's limit is an error like a full disk
  for (int file = STDIN_FILENO; file <= STDERR_FILENO; ++file) {
    // `open` takes the lowest free number. Read-only: writing there must still fail.
    if (::fcntl(file, F_GETFD) == -1 && ::open("/dev/null", O_RDONLY) != file) break;
  }
}

void print(const std::string& text) {
  const int error = write_all(STDOUT_FILENO, text);
  if (error == 0 || error == EPIPE) return;
  throw std::runtime_error(std::string("cannot write to standard output: ") + std::strerror(error));
}

void note(const std::string& text) { static_cast<void>(write_all(STDERR_FILENO, text)); }

bool terminal_rewrites_lines() {
  const char* kind = std::getenv("TERM");
  return ::isatty(STDERR_FILENO) == 1 && kind != nullptr && std::string_view(kind) != "dumb";
}

int terminal_columns() {
  winsize size = {};
  const bool known = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : 80;
}

bool locale_is_utf8() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const char* value = std::getenv(name);
    if (value == nullptr || *value == '\0') continue;
    const char* encoding = std::strchr(value, '.');
    return encoding != nullptr &&
           (::strncasecmp(encoding, ".utf-8", 6) == 0 || ::strncasecmp(encoding, ".utf8", 5) == 0);
  }
  return false;
}

}  // namespace thimble::cli
