#include "data/pixels.h"

#include "base/error.h"
#include "base/names.h"

namespace thimble {
namespace {

constexpr float kLevel = 1 / 255.0f;  // a standard deviation that leaves pixels as they are

}  // namespace

const std::vector<PixelChoice>& pixel_choices() {
  static const std::vector<PixelChoice> all = {
      {"0..1", "pixel / 255", {{0}, {1}}},
      {"0..255", "the pixel itself", {{0}, {kLevel}}},
      {"-1..1", "pixel / 127.5 - 1", {{.5f}, {.5f}}},
      {"imagenet",
       "less ImageNet's mean, by its standard deviation, of each channel",
       {{.485f, .456f, .406f}, {.229f, .224f, .225f}}},
      {"caffe",
       "less ImageNet's mean, blue first",
       {{103.939f / 255, 116.779f / 255, 123.68f / 255}, {kLevel, kLevel, kLevel}, true}}};
  return all;
}

PixelNumbers pixels_called(const std::string& name) {
  std::vector<std::string> names;
  for (const PixelChoice& rule : pixel_choices()) {
    if (rule.name == name) return rule.numbers;
    names.push_back(rule.name);
  }
  throw UserError(str_cat("data.pixels is '", name, "', needs one of ", joined(names),
                          did_you_mean(name, names)));
}

}  // namespace thimble
