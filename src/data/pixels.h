#pragma once

#include <string>
#include <vector>

namespace thimble {

// How pixels become numbers: (pixel / 255 - mean) / std, of each channel of the model, in its
// order.
struct PixelNumbers {
  std::vector<float> mean;  // 1 or 3 numbers
  std::vector<float> std;   // likewise
  bool bgr = false;         // of three channels, blue comes first
};

struct PixelChoice {
  std::string name;
  std::string summary;
  PixelNumbers numbers;
};
const std::vector<PixelChoice>& pixel_choices();

// The rule of that name. Throws UserError when there is none.
PixelNumbers pixels_called(const std::string& name);

}  // namespace thimble
