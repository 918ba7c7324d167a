#include "runtime/arena.h"

#include <sys/mman.h>

#include <cstring>

#include "base/bytes.h"
#include "base/error.h"

namespace thimble {

Arena::Arena(int64_t bytes) : bytes_(bytes), mapped_bytes_(round_up(bytes, 4096)) {
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

}  // namespace thimble
