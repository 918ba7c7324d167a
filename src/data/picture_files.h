#pragma once

#include <string>
#include <vector>

#include "data/dataset.h"

namespace thimble {

// Pictures without labels: JPEG and PNG files from anywhere. All have the label 0.
class PictureFiles : public Dataset {
 public:
  PictureFiles(DatasetInfo info, std::vector<std::string> paths);

  int64_t size() const override { return static_cast<int64_t>(paths_.size()); }
  int64_t bytes_held() const override;
  int64_t scratch_bytes(int64_t decode_bytes) const override;
  int32_t label(int64_t) const override { return 0; }
  uint64_t fingerprint() const override;
  int32_t decode(int64_t index, std::span<std::byte> scratch, DecodeTarget& target) const override;

  const std::string& path(int64_t index) const { return paths_[static_cast<size_t>(index)]; }
  // Why the picture could not be decoded; empty when it could, or was not tried.
  const std::string& error(int64_t index) const { return errors_[static_cast<size_t>(index)]; }

 private:
  std::vector<std::string> paths_;
  mutable std::vector<std::string> errors_;  // a loader passes over what is broken
};

}  // namespace thimble
