#include "data/file_cache.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <vector>

#include "base/error.h"
#include "base/hash.h"

namespace thimble {
namespace {

namespace fs = std::filesystem;

// A shared folder such as /tmp could hold a copy that someone else planted.
bool usable(const std::string& folder) {
  std::error_code error;
  fs::create_directories(fs::path(folder).parent_path(), error);
  ::mkdir(folder.c_str(), 0700);
  struct stat status;
  return ::stat(folder.c_str(), &status) == 0 && S_ISDIR(status.st_mode) &&
         status.st_uid == ::geteuid() && ::access(folder.c_str(), W_OK | X_OK) == 0;
}

std::string cache_folder(const std::string& wanted) {
  if (!wanted.empty()) {
    std::error_code error;
    fs::create_directories(wanted, error);
    require(!error, wanted, ": cannot make the cache folder: ", error.message());
    return wanted;
  }
  std::vector<std::string> tries;
  const auto try_below = [&](const char* variable, const std::string& rest) {
    const char* value = std::getenv(variable);
    if (value != nullptr && value[0] == '/') tries.push_back(value + rest);
  };
  const std::string own = str_cat("/thimble-", ::geteuid());
  try_below("XDG_CACHE_HOME", "/thimble");
  try_below("HOME", "/.cache/thimble");
  try_below("TMPDIR", own);
  tries.push_back("/tmp" + own);
  for (const std::string& folder : tries) {
    if (usable(folder)) return folder;
  }
  throw UserError(str_cat("no folder for what is made of files: cannot write to ", tries.front(),
                          " or ", tries.back(), "; set XDG_CACHE_HOME"));
}

std::string name_of_copy(const std::string& path) {
  struct stat status;
  require(::stat(path.c_str(), &status) == 0, path, ": cannot open: ", std::strerror(errno));
  require(S_ISREG(status.st_mode), path, ": not a regular file");
  const std::string key = str_cat(fs::canonical(path).string(), '\n', status.st_size, '\n',
                                  status.st_mtim.tv_sec, '.', status.st_mtim.tv_nsec);
  return str_cat(fs::path(path).stem().string(), "-", hex_of(hash_of(key)));
}

}  // namespace

std::string cached_file(const std::string& path, const std::string& suffix,
                        const std::string& cache_dir) {
  const std::string name = name_of_copy(path) + suffix;
  return cache_folder(cache_dir) + "/" + name;
}

}  // namespace thimble
