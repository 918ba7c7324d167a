#include <algorithm>
#include <filesystem>

#include "base/error.h"
#include "base/hash.h"
#include "data/input_file.h"
#include "data/registry.h"

namespace thimble {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kSide = 32;
constexpr int64_t kPlane = kSide * kSide;
constexpr int64_t kRecordBytes = 1 + 3 * kPlane;  // label, then red, green and blue planes
constexpr int64_t kClasses = 10;
constexpr int kTrainFiles = 5;

// The files of one split in `folder`, or in the folder that CIFAR-10's own archive makes.
std::vector<std::string> find_files(const std::string& folder, const std::string& split) {
  std::vector<std::string> paths;
  for (const char* below : {"", "/cifar-10-batches-bin"}) {
    std::error_code error;
    for (const fs::directory_entry& entry : fs::directory_iterator(folder + below, error)) {
      const std::string name = entry.path().filename().string();
      const bool train = name.starts_with("data_batch_") && name.ends_with(".bin");
      if (split == "train" ? train : name == "test_batch.bin") paths.push_back(entry.path());
    }
    if (!paths.empty()) break;
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

// A download that stopped half-way would train on fewer pictures without a word.
void require_all_files(const DataSpec& spec, const std::vector<std::string>& paths) {
  if (spec.split != "train") return;
  for (int n = 1; n <= kTrainFiles; ++n) {
    const std::string name = str_cat("data_batch_", n, ".bin");
    const bool there = std::any_of(paths.begin(), paths.end(),
                                   [&](const std::string& p) { return p.ends_with("/" + name); });
    require(there, fs::path(paths.front()).parent_path().string(), ": no file ", name,
            "; needed data_batch_1.bin to data_batch_", kTrainFiles,
            ".bin; hint: unpack the archive again");
  }
}

class Cifar10Dataset : public Dataset {
 public:
  Cifar10Dataset(DatasetInfo info, std::vector<InputFile> files, std::vector<int64_t> ends)
      : Dataset(std::move(info)), files_(std::move(files)), ends_(std::move(ends)) {}

  int64_t size() const override { return ends_.back(); }
  int64_t bytes_held() const override {
    return static_cast<int64_t>(files_.capacity() * sizeof(InputFile) +
                                ends_.capacity() * sizeof(int64_t));
  }
  int64_t scratch_bytes(int64_t) const override { return kRecordBytes + 3 * kSide; }

  int32_t label(int64_t index) const override {
    uint8_t label = 0;
    const auto [file, record] = place_of(index);
    file.read_at(record * kRecordBytes, &label, 1);
    return checked(label, file, record);
  }

  uint64_t fingerprint() const override {
    Hash hash;
    for (const InputFile& file : files_) {
      const uint64_t stamp = file.stamp();
      hash.add(&stamp, sizeof stamp);
    }
    return hash.value();
  }

  int32_t decode(int64_t index, std::span<std::byte> scratch, DecodeTarget& target) const override {
    auto* bytes = reinterpret_cast<uint8_t*>(scratch.data());
    const auto [file, record] = place_of(index);
    file.read_at(record * kRecordBytes, bytes, kRecordBytes);
    const int32_t label = checked(bytes[0], file, record);
    uint8_t* row = bytes + kRecordBytes;  // (W, 3)
    target.begin({3, kSide, kSide});
    for (int64_t y = 0; y < kSide; ++y) {
      const uint8_t* planes = bytes + 1 + y * kSide;
      for (int64_t x = 0; x < kSide; ++x) {
        for (int64_t c = 0; c < 3; ++c) row[3 * x + c] = planes[c * kPlane + x];
      }
      target.row(row);
    }
    return label;
  }

 private:
  // The file of an example, and its number there.
  std::pair<const InputFile&, int64_t> place_of(int64_t index) const {
    const auto f =
        static_cast<size_t>(std::upper_bound(ends_.begin(), ends_.end(), index) - ends_.begin());
    return {files_[f], f == 0 ? index : index - ends_[f - 1]};
  }

  static int32_t checked(uint8_t label, const InputFile& file, int64_t record) {
    require(label < kClasses, file.path(), ": record ", record, " has label ", int{label},
            "; needed at most ", kClasses - 1);
    return label;
  }

  std::vector<InputFile> files_;
  std::vector<int64_t> ends_;  // examples in the files up to and with this one
};

bool recognise(const std::string& path) {
  return !find_files(path, "train").empty() || !find_files(path, "test").empty();
}

std::unique_ptr<Dataset> open(const DataSpec& spec) {
  const std::vector<std::string> paths = find_files(spec.path, spec.split);
  require(!paths.empty(), spec.path, ": no file ",
          spec.split == "train" ? "data_batch_*.bin" : "test_batch.bin");
  require_all_files(spec, paths);
  std::vector<InputFile> files;
  std::vector<int64_t> ends;
  files.reserve(paths.size());
  for (const std::string& path : paths) {
    const InputFile& file = files.emplace_back(path);
    const int64_t bytes = file.size();
    require(bytes > 0 && bytes % kRecordBytes == 0, path, ": ", bytes,
            " bytes; needed a multiple of ", kRecordBytes, ", the size of a CIFAR-10 record");
    ends.push_back(bytes / kRecordBytes + (ends.empty() ? 0 : ends.back()));
  }
  DatasetInfo info;
  info.description = str_cat("CIFAR-10, ", spec.split, ": ", ends.back(),
                             " colour pictures of 32x32 in 10 classes");
  info.image = Shape{3, kSide, kSide};
  info.class_names = {"airplane", "automobile", "bird",  "cat",  "deer",
                      "dog",      "frog",       "horse", "ship", "truck"};
  info.mean = {.4914f, .4822f, .4465f};
  info.std = {.2470f, .2435f, .2616f};
  return std::make_unique<Cifar10Dataset>(std::move(info), std::move(files), std::move(ends));
}

}  // namespace

const DataSource& data_source_cifar10() {
  static const DataSource source = {"cifar10", "CIFAR-10 in its binary version",
                                    "data_batch_1.bin to data_batch_5.bin and test_batch.bin",
                                    recognise, open};
  return source;
}

}  // namespace thimble
