#include "data/idx.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <string_view>

#include "base/error.h"
#include "base/hash.h"
#include "data/gzip_cache.h"
#include "data/input_file.h"

namespace thimble {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMaxImageBytes = int64_t{1} << 28;

// The start of an IDX file: what every byte after `header_bytes` means.
struct IdxHeader {
  int64_t count = 0;
  int64_t height = 1;
  int64_t width = 1;
  int64_t header_bytes = 0;
};

std::string_view prefix_of(const std::string& split) { return split == "train" ? "train" : "t10k"; }

// "train-images*idx3-ubyte[.gz]" in the folder, unpacked rather than packed; empty when absent.
std::string find_idx(const std::string& folder, const std::string& start, const std::string& kind) {
  std::string found;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    const bool fits =
        name.starts_with(start) && (name.ends_with(kind) || name.ends_with(kind + ".gz"));
    if (fits && (found.empty() || name.size() < found.size())) found = name;
  }
  return found.empty() ? found : str_cat(folder, "/", found);
}

std::string need_idx(const std::string& folder, const std::string& start, const std::string& kind) {
  std::string path = find_idx(folder, start, kind);
  require(!path.empty(), folder, ": no file ", start, "*", kind, " or ", start, "*", kind, ".gz");
  return path;
}

InputFile open_unpacked(const std::string& path, const std::string& cache_dir) {
  return InputFile(path.ends_with(".gz") ? unpacked_copy(path, cache_dir) : path);
}

int64_t big_endian(const uint8_t* bytes) {
  return int64_t{bytes[0]} << 24 | bytes[1] << 16 | bytes[2] << 8 | bytes[3];
}

// Checks the type, the sizes and the file's length. `dimensions` is 3 for images, 1 for labels.
IdxHeader read_header(const InputFile& file, int dimensions) {
  IdxHeader header;
  header.header_bytes = 4 + 4 * dimensions;
  const int64_t bytes = file.size();
  require(bytes >= header.header_bytes, file.path(), ": ", bytes, " bytes; an IDX header needs ",
          header.header_bytes);
  std::array<uint8_t, 16> start = {};
  file.read_at(0, start.data(), header.header_bytes);
  const int64_t magic = big_endian(start.data());
  if (magic != 0x800 + dimensions) {
    std::array<char, 80> text;
    std::snprintf(text.data(), text.size(), "starts with 0x%08llx; needed 0x%08x",
                  static_cast<unsigned long long>(magic),
                  0x800u + static_cast<unsigned>(dimensions));
    throw UserError(str_cat(file.path(), ": ", text.data(), " (IDX, ", dimensions,
                            dimensions == 1 ? " dimension" : " dimensions", " of bytes)"));
  }
  header.count = big_endian(&start[4]);
  if (dimensions == 3) {
    header.height = big_endian(&start[8]);
    header.width = big_endian(&start[12]);
  }
  require(header.count > 0, file.path(), ": holds no examples; needs at least 1");
  require(header.height > 0 && header.width > 0 && header.height <= kMaxImageBytes / header.width,
          file.path(), ": ", header.count, " x ", header.height, " x ", header.width,
          " is not a usable size");
  const int64_t needed = header.header_bytes + header.count * header.height * header.width;
  require(bytes == needed, file.path(), ": ", bytes, " bytes; its header needs ", needed,
          bytes < needed ? " (the file ends early)" : "");
  return header;
}

constexpr int64_t kLabels = 256;  // a label is a byte

// The first example of each label; -1 where there is none.
using FirstExamples = std::array<int64_t, kLabels>;

FirstExamples first_examples(const InputFile& file, const IdxHeader& header) {
  FirstExamples first;
  first.fill(-1);
  std::array<uint8_t, 4096> block;
  for (int64_t i = 0; i < header.count; i += static_cast<int64_t>(block.size())) {
    const int64_t n = std::min(header.count - i, static_cast<int64_t>(block.size()));
    file.read_at(header.header_bytes + i, block.data(), n);
    for (int64_t k = 0; k < n; ++k) {
      int64_t& example = first[block[static_cast<size_t>(k)]];
      if (example < 0) example = i + k;
    }
  }
  return first;
}

// The number of classes of labels without names: from 0 to the largest. One broken label would
// widen every layer behind it, so a label of which there is no example means that one is wrong.
int64_t count_classes(const InputFile& file, const FirstExamples& first) {
  const auto last = std::find_if(first.rbegin(), first.rend(), [](int64_t e) { return e >= 0; });
  const int64_t classes = first.rend() - last;
  const auto gap = std::find(first.begin(), first.begin() + classes, -1) - first.begin();
  require(gap == classes, file.path(), ": example ", *last, " has label ", classes - 1,
          ", but no example has label ", gap,
          "; needed every label from 0 to the largest; hint: ", "--classes ", classes,
          " when that is right");
  return classes;
}

void check_labels(const InputFile& file, const FirstExamples& first, int64_t classes) {
  for (int64_t label = classes; label < kLabels; ++label) {
    const int64_t example = first[static_cast<size_t>(label)];
    require(example < 0, file.path(), ": example ", example, " has label ", label,
            "; needed at most ", classes - 1);
  }
}

class IdxDataset : public Dataset {
 public:
  IdxDataset(DatasetInfo info, InputFile images, InputFile labels, const IdxHeader& header)
      : Dataset(std::move(info)),
        images_(std::move(images)),
        labels_(std::move(labels)),
        header_(header) {}

  int64_t size() const override { return header_.count; }
  int64_t bytes_held() const override { return 0; }
  int64_t scratch_bytes(int64_t) const override { return header_.height * header_.width; }

  int32_t label(int64_t index) const override {
    uint8_t label = 0;
    labels_.read_at(kLabelHeaderBytes + index, &label, 1);
    return label;
  }

  uint64_t fingerprint() const override {
    const std::array<uint64_t, 2> stamps = {images_.stamp(), labels_.stamp()};
    Hash hash;
    hash.add(stamps.data(), sizeof stamps);
    return hash.value();
  }

  int32_t decode(int64_t index, std::span<std::byte> scratch, DecodeTarget& target) const override {
    const int64_t pixels = header_.height * header_.width;
    images_.read_at(header_.header_bytes + index * pixels, scratch.data(), pixels);
    target.begin({1, header_.height, header_.width});
    const auto* row = reinterpret_cast<const uint8_t*>(scratch.data());
    for (int64_t y = 0; y < header_.height; ++y) target.row(row + y * header_.width);
    return label(index);
  }

 private:
  static constexpr int64_t kLabelHeaderBytes = 8;

  InputFile images_;
  InputFile labels_;
  IdxHeader header_;
};

}  // namespace

bool has_idx_files(const std::string& folder) {
  return !find_idx(folder, "train-images", "idx3-ubyte").empty() ||
         !find_idx(folder, "t10k-images", "idx3-ubyte").empty();
}

std::unique_ptr<Dataset> open_idx(const std::string& folder, const DataSpec& spec,
                                  const std::string& title, std::vector<std::string> class_names) {
  const std::string prefix(prefix_of(spec.split));
  InputFile images =
      open_unpacked(need_idx(folder, prefix + "-images", "idx3-ubyte"), spec.cache_dir);
  InputFile labels =
      open_unpacked(need_idx(folder, prefix + "-labels", "idx1-ubyte"), spec.cache_dir);
  const IdxHeader header = read_header(images, 3);
  const IdxHeader label_header = read_header(labels, 1);
  require(header.count == label_header.count, labels.path(), ": ", label_header.count,
          " labels; needed ", header.count, ", one for each picture");

  const FirstExamples first = first_examples(labels, label_header);
  if (class_names.empty()) {
    int64_t classes = spec.classes;
    const std::string train = find_idx(folder, "train-labels", "idx1-ubyte");
    if (classes == 0 && spec.split != "train" && !train.empty()) {
      // A test part may miss a class; both parts must agree on the number.
      const InputFile other = open_unpacked(train, spec.cache_dir);
      classes = count_classes(other, first_examples(other, read_header(other, 1)));
    }
    if (classes == 0) classes = count_classes(labels, first);
    for (int64_t i = 0; i < classes; ++i) class_names.push_back(std::to_string(i));
  }
  check_labels(labels, first, static_cast<int64_t>(class_names.size()));

  DatasetInfo info;
  info.description =
      str_cat(title, ", ", spec.split, ": ", header.count, " grey pictures of ", header.height, "x",
              header.width, " in ", class_names.size(), " classes");
  info.image = Shape{1, header.height, header.width};
  info.class_names = std::move(class_names);
  // Fashion-MNIST's own numbers; a path and the well-known name then give the same training.
  info.mean = {.2860f};
  info.std = {.3530f};
  return std::make_unique<IdxDataset>(std::move(info), std::move(images), std::move(labels),
                                      header);
}

}  // namespace thimble
