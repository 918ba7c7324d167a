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
#include "base/whole_io.h"

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
  const int64_t wanted = bytes(values_, 1);
  const int64_t got = read_all(file_, to, wanted, example * wanted);
  require(got >= 0, path_, ": cannot read: ", std::strerror(errno));
  require(got == wanted, path_, ": ends before the features of example ", example,
          "; it was cut while training read it; hint: --resume makes it anew");
  uint32_t first = 0;
  std::memcpy(&first, to, sizeof first);
  return first != kBroken;
}

}  // namespace thimble
