#pragma once

#include <cstddef>
#include <cstdint>

namespace thimble {

// The one block of memory that a run uses. Mapped and touched once, page by page, so that what is
// planned is resident before the first step; large pages where the system gives them.
class Arena {
 public:
  explicit Arena(int64_t bytes);
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  std::byte* data() const { return data_; }
  int64_t bytes() const { return bytes_; }

 private:
  std::byte* data_ = nullptr;
  int64_t bytes_ = 0;
  int64_t mapped_bytes_ = 0;
};

}  // namespace thimble
