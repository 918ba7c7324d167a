#include "data/feature_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "base/error.h"

namespace thimble {
namespace {

// Not a number, in a way that arithmetic does not make.
constexpr uint32_t kBroken = 0x7fe0badd;

}  // namespace

FeatureFile::FeatureFile(std::string path, int64_t values)
    : path_(std::move(path)), values_(values), file_(::open(path_.c_str(), O_RDONLY | O_CLOEXEC)) {
  require(file_ >= 0, path_, ": cannot open: ", std::strerror(errno));
}

FeatureFile::~FeatureFile() { ::close(file_); }

int64_t FeatureFile::bytes(int64_t values, int64_t examples) {
  return examples * values * int64_t{sizeof(float)};
}

bool FeatureFile::is_whole(const std::string& path, int64_t values, int64_t examples) {
  std::error_code error;
  const auto found = std::filesystem::file_size(path, error);
  return !error && found == static_cast<uintmax_t>(bytes(values, examples));
}

void FeatureFile::mark_broken(std::span<float> values) {
  std::fill(values.begin(), values.end(), std::bit_cast<float>(kBroken));
}

bool FeatureFile::read(int64_t example, float* to) const {
  auto* next = reinterpret_cast<char*>(to);
  int64_t left = bytes(values_, 1);
  int64_t offset = example * left;
  while (left > 0) {
    const ssize_t got = ::pread(file_, next, static_cast<size_t>(left), offset);
    if (got < 0 && errno == EINTR) continue;
    require(got >= 0, path_, ": cannot read: ", std::strerror(errno));
    require(got > 0, path_, ": ends before the features of example ", example,
            "; it was cut while training read it; hint: --resume makes it anew");
    next += got;
    offset += got;
    left -= got;
  }
  uint32_t first = 0;
  std::memcpy(&first, to, sizeof first);
  return first != kBroken;
}

}  // namespace thimble
