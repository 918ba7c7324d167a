#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/shape.h"

namespace thimble {

// The size of one picture.
struct ImageSize {
  int64_t channels = 0;  // 1 (grey) or 3 (RGB)
  int64_t height = 0;    // pixels
  int64_t width = 0;     // pixels
};

// Receives one picture row by row, so that no one needs to hold a whole one.
class DecodeTarget {
 public:
  virtual ~DecodeTarget() = default;

  // How much smaller the picture may come: 1, 2, 4 or 8. A decoder that can make a smaller picture
  // cheaply (JPEG) divides both sides by it; the others ignore it.
  virtual int64_t shrink(int64_t height, int64_t width) const = 0;

  // Called once per picture, before its rows.
  virtual void begin(const ImageSize& size) = 0;

  // Called `height` times, top row first. `pixels` is (W, C), 0..255, valid during the call.
  virtual void row(const uint8_t* pixels) = 0;
};

// What is known about a data set before any picture is read.
struct DatasetInfo {
  std::string description;               // one line for people
  Shape image;                           // (C, H, W); H and W are 0 when they vary
  std::vector<std::string> class_names;  // label -> name
  std::vector<float> mean;               // default normalisation, pixels in [0, 1]; 1 or 3 numbers
  std::vector<float> std;                // as many as `mean`
};

// Labelled pictures in files. Pictures are never held in memory: each is read when asked for.
// Thread-compatible: one thread at a time may decode.
class Dataset {
 public:
  virtual ~Dataset() = default;

  const DatasetInfo& info() const { return info_; }
  const std::string& description() const { return info_.description; }
  const Shape& image() const { return info_.image; }  // (C, H, W)
  const std::vector<std::string>& class_names() const { return info_.class_names; }
  int64_t classes() const { return static_cast<int64_t>(info_.class_names.size()); }

  // The number of examples, at least 1.
  virtual int64_t size() const = 0;

  // Heap bytes that stay resident as long as the data set is open (tables of names).
  virtual int64_t bytes_held() const = 0;

  // Bytes of scratch that `decode` needs; `decode_bytes` is what a picture of any size may use.
  virtual int64_t scratch_bytes(int64_t decode_bytes) const = 0;

  // The label of example `index` in [0, size()), without looking at its picture.
  virtual int32_t label(int64_t index) const = 0;

  // The same for the same examples in the same order, as far as names, sizes and times of files
  // tell.
  virtual uint64_t fingerprint() const = 0;

  // Streams picture `index` in [0, size()) into `target` and returns its label in [0, classes()).
  // `scratch` holds scratch_bytes(), aligned to 64. Throws UserError naming the file when it is
  // broken or does not fit in the scratch; `target` may have seen part of the picture then.
  virtual int32_t decode(int64_t index, std::span<std::byte> scratch,
                         DecodeTarget& target) const = 0;

 protected:
  explicit Dataset(DatasetInfo info) : info_(std::move(info)) {}

 private:
  DatasetInfo info_;
};

}  // namespace thimble
