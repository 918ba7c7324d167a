#include "data/transform.h"

#include <algorithm>
#include <new>
#include <utility>

#include "base/random.h"

namespace thimble {
namespace {

// Keeps the draws apart from the shuffle, which uses the plain seed.
constexpr uint64_t kAugmentKey = 0x6175676d656e74;

// Draws per example; their numbers must not change, or old runs cannot be resumed.
enum Draw : uint64_t { kMirror, kMoveX, kMoveY, kDraws = 4 };

constexpr std::array<float, 3> kLuma = {.299f, .587f, .114f};

// length * to / from, to the nearest.
int64_t scaled(int64_t length, int64_t to, int64_t from) {
  return (2 * length * to + from) / (2 * from);
}

int64_t bytes_of_taps(const Shape& image) {
  return (image[1] + image[2]) * static_cast<int64_t>(sizeof(TriangleTaps));
}

}  // namespace

int64_t ImageFitter::scratch_bytes(const Shape& image) {
  return bytes_of_taps(image) + image[0] * image[2] * static_cast<int64_t>(sizeof(float));
}

ImageFitter::ImageFitter(const ImageRecipe& recipe, std::span<std::byte> scratch)
    : recipe_(recipe),
      channels_(recipe.image[0]),
      height_(recipe.image[1]),
      width_(recipe.image[2]),
      columns_(reinterpret_cast<TriangleTaps*>(scratch.data())),
      rows_(columns_ + width_),
      fitted_(reinterpret_cast<float*>(rows_ + height_)) {
  ensure(static_cast<int64_t>(scratch.size()) >= scratch_bytes(recipe.image), "fitter scratch");
}

void ImageFitter::aim(float* dst, int64_t epoch, int64_t example) {
  dst_ = dst;
  const RandomStream draws(recipe_.seed ^ kAugmentKey, static_cast<uint64_t>(epoch));
  const uint64_t first = static_cast<uint64_t>(example) * kDraws;
  const int64_t places = 2 * recipe_.crop_pad + 1;
  mirror_ = recipe_.flip && draws.below(first + kMirror, 2) == 1;
  move_x_ = draws.below(first + kMoveX, places) - recipe_.crop_pad;
  move_y_ = draws.below(first + kMoveY, places) - recipe_.crop_pad;
}

bool ImageFitter::only_pads(int64_t height, int64_t width) const {
  const auto near = [](int64_t have, int64_t want) { return have <= want && 5 * want <= 6 * have; };
  return near(height, height_) && near(width, width_);
}

int64_t ImageFitter::shrink(int64_t height, int64_t width) const {
  // Twice the wanted size is left for our own filter, which is better than the decoder's.
  int64_t factor = 8;
  while (factor > 1 && (height < 2 * factor * height_ || width < 2 * factor * width_)) factor /= 2;
  return factor;
}

void ImageFitter::begin(const ImageSize& size) {
  source_ = size;
  next_row_ = 0;
  open_row_ = 0;
  std::fill_n(dst_, channels_ * height_ * width_, 0.0f);
  std::fill_n(fitted_, channels_ * width_, 0.0f);
  pads_ = only_pads(size.height, size.width);

  int64_t tall = height_;
  int64_t wide = width_;
  if (pads_) {
    tall = size.height;
    wide = size.width;
  } else if (height_ * size.width >= width_ * size.height) {
    wide = std::max(width_, scaled(size.width, height_, size.height));
  } else {
    tall = std::max(height_, scaled(size.height, width_, size.width));
  }

  // The picture, resized, begins at these places of the output; negative when it is cropped.
  const int64_t left = pads_ ? (width_ - wide) / 2 : -((wide - width_) / 2);
  const int64_t top = pads_ ? (height_ - tall) / 2 : -((tall - height_) / 2);
  // Before it is moved the output shows [0, W) of what lies there: a move brings in black.
  const int64_t shown_first = std::max(int64_t{0}, left);
  const int64_t shown_last = std::min(width_, left + wide);
  first_column_ = std::max(int64_t{0}, shown_first - move_x_);
  last_column_ = std::min(width_, shown_last - move_x_);
  if (mirror_) {
    first_column_ = width_ - std::exchange(last_column_, width_ - first_column_);
  }
  for (int64_t j = first_column_; j < last_column_; ++j) {
    const int64_t u = (mirror_ ? width_ - 1 - j : j) + move_x_;
    new (columns_ + j) TriangleTaps(u - left, size.width, wide);
  }
  for (int64_t i = 0; i < height_ && !pads_; ++i) {
    new (rows_ + i) TriangleTaps(i - top, size.height, tall);
  }
}

void ImageFitter::row(const uint8_t* pixels) {
  const int64_t y = next_row_++;
  const bool grey = source_.channels == 1;
  if (pads_) {
    grey ? pad_row<1>(pixels) : pad_row<3>(pixels);
    add_row((height_ - source_.height) / 2 + y, 1);
  } else if (open_row_ < height_ && rows_[open_row_].first <= y) {
    grey ? resize_row<1>(pixels) : resize_row<3>(pixels);
    for (int64_t i = open_row_; i < height_ && rows_[i].first <= y; ++i) {
      if (y < rows_[i].last) add_row(i, rows_[i].weight(y));
    }
    while (open_row_ < height_ && rows_[open_row_].last <= y + 1) ++open_row_;
  }
  if (next_row_ == source_.height) normalise();
}

template <int kFrom>
void ImageFitter::put(int64_t column, const float* pixel) {
  float* to = fitted_ + column;
  if (kFrom == 3 && channels_ == 1) {
    *to = kLuma[0] * pixel[0] + kLuma[1] * pixel[1] + kLuma[2] * pixel[2];
  } else if (channels_ == 1) {
    *to = pixel[0];
  } else {
    for (int c = 0; c < 3; ++c) {
      const int from = recipe_.bgr ? 2 - c : c;
      to[c * width_] = pixel[kFrom == 1 ? 0 : from];
    }
  }
}

template <int kFrom>
void ImageFitter::pad_row(const uint8_t* pixels) {
  for (int64_t j = first_column_; j < last_column_; ++j) {
    const uint8_t* from = pixels + kFrom * columns_[j].first;
    float pixel[kFrom];
    for (int c = 0; c < kFrom; ++c) pixel[c] = from[c];
    put<kFrom>(j, pixel);
  }
}

template <int kFrom>
void ImageFitter::resize_row(const uint8_t* pixels) {
  for (int64_t j = first_column_; j < last_column_; ++j) {
    const TriangleTaps taps = columns_[j];
    float pixel[kFrom] = {};
    for (int64_t x = taps.first; x < taps.last; ++x) {
      const float weight = taps.weight(x);
      for (int c = 0; c < kFrom; ++c) pixel[c] += weight * pixels[x * kFrom + c];
    }
    put<kFrom>(j, pixel);
  }
}

// Adds the fitted row to row `row` of the picture as it was before it is moved.
void ImageFitter::add_row(int64_t row, float weight) {
  const int64_t to = row - move_y_;
  if (to < 0 || to >= height_) return;
  for (int64_t c = 0; c < channels_; ++c) {
    float* dst = dst_ + (c * height_ + to) * width_;
    const float* src = fitted_ + c * width_;
#pragma omp simd
    for (int64_t j = 0; j < width_; ++j) dst[j] += weight * src[j];
  }
}

void ImageFitter::normalise() {
  for (int64_t c = 0; c < channels_; ++c) {
    float* dst = dst_ + c * height_ * width_;
    const float scale = 1 / (255 * recipe_.std[static_cast<size_t>(c)]);
    const float shift = recipe_.mean[static_cast<size_t>(c)] / recipe_.std[static_cast<size_t>(c)];
#pragma omp simd
    for (int64_t k = 0; k < height_ * width_; ++k) dst[k] = dst[k] * scale - shift;
  }
}

}  // namespace thimble
