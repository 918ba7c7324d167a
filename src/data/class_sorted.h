#pragma once

#include <memory>
#include <span>
#include <vector>

#include "data/dataset.h"

namespace thimble {

// Some of another data set's examples, sorted by class. Four bytes for each.
class ClassSorted : public Dataset {
 public:
  // `examples` of `whole`, which must outlive this: those of labels[i] stand at
  // [class_ends[i - 1], class_ends[i]); no class is empty.
  ClassSorted(DatasetInfo info, const Dataset& whole, std::vector<uint32_t> examples,
              std::vector<int32_t> labels, std::vector<int64_t> class_ends);

  int64_t size() const override { return static_cast<int64_t>(examples_.size()); }
  int64_t bytes_held() const override;
  int64_t scratch_bytes(int64_t decode_bytes) const override {
    return whole_.scratch_bytes(decode_bytes);
  }
  int32_t label(int64_t index) const override;
  uint64_t fingerprint() const override;
  int32_t decode(int64_t index, std::span<std::byte> scratch, DecodeTarget& target) const override;

  // Of the classes that have examples.
  std::span<const int64_t> class_ends() const { return class_ends_; }

 private:
  const Dataset& whole_;
  std::vector<uint32_t> examples_;
  std::vector<int32_t> labels_;
  std::vector<int64_t> class_ends_;
};

// Examples of each label.
std::vector<int64_t> class_counts(const Dataset& dataset);

struct ValidationSplit {
  std::unique_ptr<ClassSorted> train;
  std::unique_ptr<ClassSorted> validation;  // null when its share is 0
};

// Sorts examples by class and keeps the same share of each class aside, drawn by `seed`: at least
// one of a class, at most all but one. Reads labels alone. `whole` must outlive what comes back.
// Throws UserError when no class has two examples.
ValidationSplit split_by_class(const Dataset& whole, double validation_share, uint64_t seed);

}  // namespace thimble
