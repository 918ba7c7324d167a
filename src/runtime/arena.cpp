#include "runtime/arena.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

#include "base/bytes.h"
#include "base/error.h"
#include "base/unnamed_file.h"
#include "base/whole_io.h"

namespace thimble {
namespace {

constexpr int64_t kPageBytes = 4096;

}  // namespace

Arena::Arena(int64_t bytes) : bytes_(bytes), mapped_bytes_(round_up(bytes, kPageBytes)) {
  if (bytes == 0) return;
  void* p = mmap(nullptr, static_cast<size_t>(mapped_bytes_), PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  require(p != MAP_FAILED, "the system does not give ", format_bytes(bytes),
          " of memory; lower the batch or close other programs");
  // Only whole large pages inside the mapping can become large: resident bytes do not grow.
  madvise(p, static_cast<size_t>(mapped_bytes_), MADV_HUGEPAGE);
  data_ = static_cast<std::byte*>(p);
  std::memset(data_, 0, static_cast<size_t>(bytes_));
}

Arena::~Arena() {
  if (data_ != nullptr) munmap(data_, static_cast<size_t>(mapped_bytes_));
}

bool Arena::map_constant(int64_t bytes, const std::string& folder) {
  const int64_t whole = bytes / kPageBytes * kPageBytes;
  if (whole == 0) return false;
  const int file = open_unnamed(folder);
  if (file < 0) return false;
  // Pages that are not yet on the device could not be dropped.
  const bool mapped = write_all(file, data_, whole) && ::fsync(file) == 0 &&
                      mmap(data_, static_cast<size_t>(whole), PROT_READ, MAP_PRIVATE | MAP_FIXED,
                           file, 0) != MAP_FAILED;
  ::close(file);
  return mapped;
}

}  // namespace thimble
