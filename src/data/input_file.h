#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <string>

namespace thimble {

// Of a file's size and time: another when the file is replaced.
uint64_t stamp_of(const struct stat& status);

// A file open for reading at any place.
class InputFile {
 public:
  // Throws UserError when the file cannot be opened.
  explicit InputFile(std::string path);
  ~InputFile();
  InputFile(InputFile&& other) noexcept;
  InputFile& operator=(InputFile&&) = delete;

  const std::string& path() const { return path_; }
  int64_t size() const;    // bytes
  uint64_t stamp() const;  // stamp_of

  // Reads exactly `bytes` bytes at `offset`. Throws UserError when the file ends before.
  void read_at(int64_t offset, void* to, int64_t bytes) const;

 private:
  std::string path_;
  int fd_;
};

// The text of a whole file. Throws UserError when it has more than `most` bytes.
std::string read_text(const std::string& path, int64_t most);

}  // namespace thimble
