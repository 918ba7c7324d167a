#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/shape.h"
#include "data/dataset.h"
#include "data/triangle_taps.h"

namespace thimble {

// What a picture must look like when it reaches the model.
struct ImageRecipe {
  Shape image;                            // (C, H, W); C is 1 or 3
  std::array<float, 3> mean = {0, 0, 0};  // per channel, pixels in [0, 1]
  std::array<float, 3> std = {1, 1, 1};   // per channel
  bool bgr = false;                       // three channels: blue, green, red
  bool flip = false;                      // mirror every other picture, by chance
  int64_t crop_pad = 0;                   // pixels; moves pictures by up to this much, by chance
  uint64_t seed = 0;
};

// Turns the rows of a picture of any size into (C, H, W) floats as they come:
//   * one that is at most 1.2 times too small is put in the middle of black (28x28 to 32x32);
//     any other is resized (bilinear, antialiased) so that it just covers (H, W), centre cropped;
//   * grey becomes three equal channels, RGB becomes luma (.299 .587 .114), or blue comes first;
//   * augmented: moved by up to `crop_pad` pixels over black, then mirrored;
//   * normalised: (pixel / 255 - mean) / std, black borders included.
// The output is the only picture in memory: rows are added to it where they belong.
class ImageFitter : public DecodeTarget {
 public:
  static int64_t scratch_bytes(const Shape& image);

  // `scratch` holds scratch_bytes(), aligned to 64, and must outlive the fitter.
  ImageFitter(const ImageRecipe& recipe, std::span<std::byte> scratch);

  // The next picture goes to `dst`, (C, H, W). Its draws depend on (seed, epoch, example) only.
  void aim(float* dst, int64_t epoch, int64_t example);

  int64_t shrink(int64_t height, int64_t width) const override;
  void begin(const ImageSize& size) override;
  void row(const uint8_t* pixels) override;

 private:
  bool only_pads(int64_t height, int64_t width) const;
  template <int kFrom>
  void pad_row(const uint8_t* pixels);
  template <int kFrom>
  void resize_row(const uint8_t* pixels);
  template <int kFrom>
  void put(int64_t column, const float* pixel);
  void add_row(int64_t row, float weight);
  void normalise();

  ImageRecipe recipe_;
  int64_t channels_;
  int64_t height_;
  int64_t width_;
  TriangleTaps* columns_;  // (W): for each column of the output, moved and mirrored
  TriangleTaps* rows_;     // (H): for each row of the picture before it is moved
  float* fitted_;          // (C, W): the newest source row, at the output's columns

  float* dst_ = nullptr;  // (C, H, W)
  bool mirror_ = false;
  int64_t move_x_ = 0;  // columns, -crop_pad..crop_pad
  int64_t move_y_ = 0;

  ImageSize source_;
  bool pads_ = false;
  int64_t first_column_ = 0;  // columns [first, last) of the output show the picture
  int64_t last_column_ = 0;
  int64_t next_row_ = 0;  // of the source
  int64_t open_row_ = 0;  // first row of the picture, before it is moved, that is not complete
};

}  // namespace thimble
