#include "data/class_sorted.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/error.h"
#include "base/hash.h"
#include "base/random.h"

namespace thimble {
namespace {

// Keeps the draw apart from the shuffle, which uses the plain seed.
constexpr uint64_t kSplitKey = 0x73706c6974;

// Of one class, that wait for validation.
int64_t kept_aside(int64_t count, double share) {
  if (share <= 0 || count < 2) return 0;
  const int64_t wanted = std::llround(share * static_cast<double>(count));
  return std::clamp(wanted, int64_t{1}, count - 1);
}

// One part of a split as it is filled, class by class.
struct Part {
  std::vector<uint32_t> examples;
  std::vector<int32_t> labels;
  std::vector<int64_t> class_ends;

  void end_class(int32_t label) {
    const auto size = static_cast<int64_t>(examples.size());
    if (size == (class_ends.empty() ? 0 : class_ends.back())) return;
    labels.push_back(label);
    class_ends.push_back(size);
  }

  std::unique_ptr<ClassSorted> dataset(const Dataset& whole, const char* what) {
    DatasetInfo info = whole.info();
    info.description = str_cat(info.description, "; ", examples.size(), what);
    return std::make_unique<ClassSorted>(std::move(info), whole, std::move(examples),
                                         std::move(labels), std::move(class_ends));
  }
};

}  // namespace

ClassSorted::ClassSorted(DatasetInfo info, const Dataset& whole, std::vector<uint32_t> examples,
                         std::vector<int32_t> labels, std::vector<int64_t> class_ends)
    : Dataset(std::move(info)),
      whole_(whole),
      examples_(std::move(examples)),
      labels_(std::move(labels)),
      class_ends_(std::move(class_ends)) {}

int64_t ClassSorted::bytes_held() const {
  return static_cast<int64_t>(examples_.capacity() * sizeof(uint32_t) +
                              labels_.capacity() * sizeof(int32_t) +
                              class_ends_.capacity() * sizeof(int64_t));
}

int32_t ClassSorted::label(int64_t index) const {
  const auto end = std::upper_bound(class_ends_.begin(), class_ends_.end(), index);
  return labels_[static_cast<size_t>(end - class_ends_.begin())];
}

uint64_t ClassSorted::fingerprint() const {
  Hash hash;
  const uint64_t whole = whole_.fingerprint();
  hash.add(&whole, sizeof whole);
  hash.add(examples_.data(), examples_.size() * sizeof examples_[0]);
  return hash.value();
}

int32_t ClassSorted::decode(int64_t index, std::span<std::byte> scratch,
                            DecodeTarget& target) const {
  return whole_.decode(examples_[static_cast<size_t>(index)], scratch, target);
}

std::vector<int64_t> class_counts(const Dataset& dataset) {
  std::vector<int64_t> counts(static_cast<size_t>(dataset.classes()));
  for (int64_t i = 0; i < dataset.size(); ++i) ++counts[static_cast<size_t>(dataset.label(i))];
  return counts;
}

ValidationSplit split_by_class(const Dataset& whole, double validation_share, uint64_t seed) {
  require(whole.size() <= std::numeric_limits<uint32_t>::max(), whole.description(),
          ": too many examples to sort by class");
  const std::vector<int64_t> counts = class_counts(whole);
  std::vector<int64_t> next(counts.size());
  std::exclusive_scan(counts.begin(), counts.end(), next.begin(), int64_t{0});
  std::vector<uint32_t> sorted(static_cast<size_t>(whole.size()));
  for (int64_t i = 0; i < whole.size(); ++i) {
    int64_t& place = next[static_cast<size_t>(whole.label(i))];
    sorted[static_cast<size_t>(place++)] = static_cast<uint32_t>(i);
  }
  int64_t aside = 0;
  for (int64_t count : counts) aside += kept_aside(count, validation_share);
  Part train, validation;
  train.examples.reserve(sorted.size() - static_cast<size_t>(aside));
  validation.examples.reserve(static_cast<size_t>(aside));
  for (size_t c = 0; c < counts.size(); ++c) {
    if (counts[c] == 0) continue;
    const auto first = sorted.begin() + (next[c] - counts[c]);
    const Permutation order(counts[c], seed ^ kSplitKey, c);
    const int64_t leaves = kept_aside(counts[c], validation_share);
    for (int64_t i = 0; i < counts[c]; ++i) {
      Part& to = i < leaves ? validation : train;
      to.examples.push_back(first[order.permuted(i)]);
    }
    train.end_class(static_cast<int32_t>(c));
    validation.end_class(static_cast<int32_t>(c));
  }
  ValidationSplit split;
  split.train = train.dataset(whole, " of them to train on");
  require(validation_share <= 0 || aside > 0, whole.description(),
          ": no class has two examples, so none can be kept aside for validation");
  if (aside > 0) split.validation = validation.dataset(whole, " of them for validation");
  return split;
}

}  // namespace thimble
