#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace thimble {

// The epoch whose weights are kept, by what was found on the validation part: the higher accuracy,
// or of equal ones the lower loss.
struct BestEpoch {
  int64_t epoch = -1;  // zero-based; -1: none yet
  double loss = 0;
  double accuracy = 0;

  bool is_known() const { return epoch >= 0; }
  // True when `other` is better than what is known so far.
  bool is_beaten_by(const BestEpoch& other) const;

  // As a checkpoint file says it, exactly. None yet when the metadata do not speak of it; UserError
  // naming the file when they are broken.
  void add_to(std::map<std::string, std::string>& metadata) const;
  static BestEpoch of(const std::map<std::string, std::string>& metadata, const std::string& path);
};

}  // namespace thimble
