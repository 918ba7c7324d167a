#include "data/gzip_cache.h"

#include <unistd.h>
#include <zlib.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <memory>

#include "base/aside_file.h"
#include "base/error.h"
#include "data/file_cache.h"

namespace thimble {
namespace {

constexpr unsigned kBufferBytes = 16 * 1024;

struct CloseGzip {
  void operator()(gzFile file) const { gzclose_r(file); }
};

}  // namespace

std::string unpacked_copy(const std::string& gzip_path, const std::string& cache_dir) {
  const std::string final_path = cached_file(gzip_path, "", cache_dir);
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
