#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/error.h"

namespace thimble {

// Names a file below an open folder, so that no path needs to be put together for each picture.
struct FileName {
  int folder_fd;
  std::string_view folder;  // for messages; empty: the path says it
  const char* relative;     // below the folder
};

// A file read once from its beginning through a small buffer.
class FileStream {
 public:
  // `buffer` must outlive the stream. Throws UserError when the file cannot be opened.
  FileStream(const FileName& name, std::span<uint8_t> buffer);
  ~FileStream();
  FileStream(const FileStream&) = delete;
  FileStream& operator=(const FileStream&) = delete;

  // The bytes that are read and not yet consumed.
  std::span<const uint8_t> ready() const { return ready_; }
  void consume(size_t bytes) { ready_ = ready_.subspan(bytes); }

  // Replaces the consumed bytes by the next ones; false at the end of the file or on a read error.
  // Never throws, since C libraries call it.
  bool fill();

  // Throws UserError: the file's name and what is wrong with it.
  template <class... Parts>
  [[noreturn]] void fail(const Parts&... parts) const {
    throw UserError(
        str_cat(name_.folder, name_.folder.empty() ? "" : "/", name_.relative, ": ", parts...));
  }

 private:
  FileName name_;
  std::span<uint8_t> buffer_;
  std::span<const uint8_t> ready_;
  int fd_;
};

}  // namespace thimble
