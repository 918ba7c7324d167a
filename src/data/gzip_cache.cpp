#include "data/gzip_cache.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string_view>
#include <vector>

#include "base/aside_file.h"
#include "base/error.h"
#include "base/hash.h"

namespace thimble {
namespace {

namespace fs = std::filesystem;

constexpr unsigned kBufferBytes = 16 * 1024;

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
  throw UserError(str_cat("no folder for unpacked data: cannot write to ", tries.front(), " or ",
                          tries.back(), "; set XDG_CACHE_HOME"));
}

std::string copy_name(const std::string& gzip_path) {
  struct stat status;
  require(::stat(gzip_path.c_str(), &status) == 0, gzip_path,
          ": cannot open: ", std::strerror(errno));
  require(S_ISREG(status.st_mode), gzip_path, ": not a regular file");
  const std::string key = str_cat(fs::canonical(gzip_path).string(), '\n', status.st_size, '\n',
                                  status.st_mtim.tv_sec, '.', status.st_mtim.tv_nsec);
  std::array<char, 17> hex;
  std::snprintf(hex.data(), hex.size(), "%016llx", static_cast<unsigned long long>(hash_of(key)));
  return str_cat(fs::path(gzip_path).stem().string(), "-", hex.data());
}

struct CloseGzip {
  void operator()(gzFile file) const { gzclose_r(file); }
};

}  // namespace

std::string unpacked_copy(const std::string& gzip_path, const std::string& cache_dir) {
  const std::string name = copy_name(gzip_path);
  const std::string final_path = str_cat(cache_folder(cache_dir), "/", name);
  if (::access(final_path.c_str(), R_OK) == 0) return final_path;

  const std::unique_ptr<gzFile_s, CloseGzip> in(gzopen(gzip_path.c_str(), "rb"));
  require(in != nullptr, gzip_path, ": cannot open: ", std::strerror(errno));
  gzbuffer(in.get(), kBufferBytes);
  require(gzdirect(in.get()) == 0, gzip_path, ": not a gzip file");
  AsideFile out(final_path);
  std::array<uint8_t, kBufferBytes> block;
  int got = 0;
  while ((got = gzread(in.get(), block.data(), kBufferBytes)) > 0) {
    out.write(block.data(), got);
  }
  // A cut file ends with Z_BUF_ERROR after its last whole byte.
  int code = Z_OK;
  const char* reason = gzerror(in.get(), &code);
  require(got == 0 && code != Z_BUF_ERROR, gzip_path,
          ": cannot unpack: ", code == Z_BUF_ERROR ? "the file ends early" : reason);
  out.commit();
  return final_path;
}

}  // namespace thimble
