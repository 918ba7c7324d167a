#include "data/picture_files.h"

#include <fcntl.h>

#include <utility>

#include "base/error.h"
#include "base/hash.h"
#include "data/image_file.h"
#include "data/input_file.h"

namespace thimble {

PictureFiles::PictureFiles(DatasetInfo info, std::vector<std::string> paths)
    : Dataset(std::move(info)), paths_(std::move(paths)), errors_(paths_.size()) {
  ensure(!paths_.empty(), "no pictures");
}

int64_t PictureFiles::bytes_held() const {
  size_t bytes = (paths_.capacity() + errors_.capacity()) * sizeof(std::string);
  for (const std::string& path : paths_) bytes += path.capacity();
  return static_cast<int64_t>(bytes);
}

int64_t PictureFiles::scratch_bytes(int64_t decode_bytes) const {
  return std::max(decode_bytes, kLeastDecodeBytes);
}

uint64_t PictureFiles::fingerprint() const {
  Hash hash;
  for (const std::string& path : paths_) {
    const uint64_t stamp = InputFile(path).stamp();
    hash.add(&stamp, sizeof stamp);
  }
  return hash.value();
}

int32_t PictureFiles::decode(int64_t index, std::span<std::byte> scratch,
                             DecodeTarget& target) const {
  std::string& error = errors_[static_cast<size_t>(index)];
  error.clear();
  try {
    decode_image_file({AT_FDCWD, "", path(index).c_str()}, scratch, target);
  } catch (const UserError& e) {
    error = e.what();
    throw;
  }
  return 0;
}

}  // namespace thimble
