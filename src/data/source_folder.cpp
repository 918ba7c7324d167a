#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "base/bytes.h"
#include "base/error.h"
#include "base/hash.h"
#include "data/file_table.h"
#include "data/image_file.h"
#include "data/input_file.h"
#include "data/registry.h"

namespace thimble {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxRelativePath = 520;  // two names of at most 255 bytes

class FolderDataset : public Dataset {
 public:
  FolderDataset(DatasetInfo info, std::string folder, FileTable files)
      : Dataset(std::move(info)),
        folder_(std::move(folder)),
        files_(std::move(files)),
        fd_(::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
    require(fd_ >= 0, folder_, ": cannot open: ", std::strerror(errno));
  }
  ~FolderDataset() override { ::close(fd_); }
  FolderDataset(const FolderDataset&) = delete;
  FolderDataset& operator=(const FolderDataset&) = delete;

  int64_t size() const override { return files_.size(); }
  int64_t bytes_held() const override { return files_.bytes_held(); }
  int64_t scratch_bytes(int64_t decode_bytes) const override {
    return std::max(decode_bytes, kLeastDecodeBytes);
  }

  int32_t label(int64_t index) const override { return static_cast<int32_t>(files_.label(index)); }

  // A picture that was replaced has another size or time.
  uint64_t fingerprint() const override {
    Hash hash;
    for (int64_t i = 0; i < size(); ++i) {
      const auto path = relative_path(i);
      hash.add(path.data(), std::strlen(path.data()));
      struct stat status = {};
      if (::fstatat(fd_, path.data(), &status, 0) != 0) continue;  // is said when it is decoded
      const uint64_t stamp = stamp_of(status);
      hash.add(&stamp, sizeof stamp);
    }
    return hash.value();
  }

  int32_t decode(int64_t index, std::span<std::byte> scratch, DecodeTarget& target) const override {
    decode_image_file({fd_, folder_, relative_path(index).data()}, scratch, target);
    return label(index);
  }

 private:
  std::array<char, kMaxRelativePath> relative_path(int64_t index) const {
    std::array<char, kMaxRelativePath> path;
    std::snprintf(path.data(), path.size(), "%s/%s",
                  class_names()[static_cast<size_t>(label(index))].c_str(), files_.name(index));
    return path;
  }

  std::string folder_;
  FileTable files_;
  int fd_;
};

bool is_folder(const std::string& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

bool recognise(const std::string& path) {
  return is_folder(path + "/train") || is_folder(path + "/test");
}

std::unique_ptr<Dataset> open(const DataSpec& spec) {
  const std::string folder = str_cat(spec.path, "/", spec.split);
  require(is_folder(folder), folder, ": no such folder; needed ", spec.split,
          "/<class>/*.jpg or .png");
  // Labels must mean the same in both splits, also when the test has not every class.
  const std::string train = spec.path + "/train";
  std::vector<std::string> classes = folders_in(is_folder(train) ? train : folder);
  FileTable files(folder, classes);
  DatasetInfo info;
  info.description = str_cat(spec.path, ", ", spec.split, ": ", files.size(), " pictures in ",
                             classes.size(), classes.size() == 1 ? " class" : " classes");
  info.image = Shape{3, 0, 0};
  info.class_names = std::move(classes);
  info.mean = {.485f, .456f, .406f};  // ImageNet's
  info.std = {.229f, .224f, .225f};
  return std::make_unique<FolderDataset>(std::move(info), folder, std::move(files));
}

}  // namespace

const DataSource& data_source_folder() {
  static const DataSource source = {
      "folder", "JPEG and PNG pictures of any size, one folder for each class",
      "train/<class>/*.{jpg,jpeg,png} and test/<class>/...", recognise, open};
  return source;
}

}  // namespace thimble
