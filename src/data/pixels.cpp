#include "data/pixels.h"

#include <utility>

#include "base/error.h"
#include "base/names.h"

namespace thimble {
namespace {

constexpr float kLevel = 1 / 255.0f;  // a standard deviation that leaves pixels as they are

const std::vector<std::pair<std::string, PixelNumbers>>& rules() {
  static const std::vector<std::pair<std::string, PixelNumbers>> all = {
      {"0..1", {{0}, {1}}},
      {"0..255", {{0}, {kLevel}}},
      {"-1..1", {{.5f}, {.5f}}},
      {"imagenet", {{.485f, .456f, .406f}, {.229f, .224f, .225f}}},
      {"caffe", {{103.939f / 255, 116.779f / 255, 123.68f / 255}, {kLevel, kLevel, kLevel}, true}}};
  return all;
}

}  // namespace

PixelNumbers pixels_called(const std::string& name) {
  std::vector<std::string> names;
  for (const auto& [called, numbers] : rules()) {
    if (called == name) return numbers;
    names.push_back(called);
  }
  throw UserError(str_cat("data.pixels is '", name, "', needs one of ", joined(names),
                          did_you_mean(name, names)));
}

}  // namespace thimble
