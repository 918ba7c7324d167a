#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace thimble {

// The one block of memory that a run uses. Mapped and touched once, page by page, so that what is
// planned is resident before the first step; large pages where the system gives them.
class Arena {
 public:
  explicit Arena(int64_t bytes);
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // From now on the first whole pages of these bytes are those of a file without a name in
  // `folder`, read-only: the system may drop them and read them again. Writing there ends the
  // process. False where the file cannot be made (a full disk): they stay as they are.
  bool map_constant(int64_t bytes, const std::string& folder);

  std::byte* data() const { return data_; }
  int64_t bytes() const { return bytes_; }

 private:
  std::byte* data_ = nullptr;
  int64_t bytes_ = 0;
  int64_t mapped_bytes_ = 0;
};

}  // namespace thimble
