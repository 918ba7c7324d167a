#pragma once

#include <gtest/gtest.h>
#include <png.h>
#include <zlib.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "data/dataset.h"
#include "data/libjpeg.h"

namespace thimble::data_test {

using Bytes = std::vector<uint8_t>;

// A folder that is gone after the test.
class TempDir {
 public:
  TempDir() {
    std::string name = (std::filesystem::temp_directory_path() / "thimble_data.XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~TempDir() { std::filesystem::remove_all(path_); }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  std::string path() const { return path_; }
  std::string operator/(const std::string& below) const { return path_ + "/" + below; }

 private:
  std::string path_;
};

inline void write_file(const std::string& path, const Bytes& bytes) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), static_cast<long>(bytes.size()));
}

inline Bytes read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return Bytes(std::istreambuf_iterator<char>(in), {});
}

// Leaves the first `bytes` bytes of a file.
inline void cut_file(const std::string& path, uintmax_t bytes) {
  std::filesystem::resize_file(path, bytes);
}

inline void gzip_file(const std::string& path, const Bytes& bytes) {
  gzFile file = gzopen(path.c_str(), "wb");
  ASSERT_EQ(gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size())),
            static_cast<int>(bytes.size()));
  gzclose(file);
}

// Pixel (y, x, channel) of a made picture.
using Pixels = std::function<int(int, int, int)>;

inline int gradient(int y, int x, int c) { return (3 * y + 5 * x + 70 * c) % 256; }

struct PngStyle {
  int color = PNG_COLOR_TYPE_RGB;
  int depth = 8;
  bool interlaced = false;
};

inline void write_png(const std::string& path, int height, int width, const Pixels& pixels,
                      const PngStyle& style = {}) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::FILE* file = std::fopen(path.c_str(), "wb");
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  png_init_io(png, file);
  png_set_IHDR(png, info, static_cast<png_uint_32>(width), static_cast<png_uint_32>(height),
               style.depth, style.color,
               style.interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  if (style.color == PNG_COLOR_TYPE_PALETTE) {
    std::vector<png_color> palette(256);  // entry i is (i, 255 - i, 7)
    for (size_t i = 0; i < 256; ++i) {
      palette[i] = {static_cast<png_byte>(i), static_cast<png_byte>(255 - i), 7};
    }
    png_set_PLTE(png, info, palette.data(), 256);
  }
  png_write_info(png, info);
  const int passes = png_set_interlace_handling(png);
  const int channels = png_get_channels(png, info);
  for (int pass = 0; pass < passes; ++pass) {
    for (int y = 0; y < height; ++y) {
      Bytes row;
      for (int i = 0; i < width * channels; ++i) {
        const int v = pixels(y, i / channels, i % channels);
        row.push_back(static_cast<uint8_t>(v));
        if (style.depth == 16) row.push_back(static_cast<uint8_t>(v));  // v * 257
      }
      png_write_row(png, row.data());
    }
  }
  png_write_end(png, info);
  png_destroy_write_struct(&png, &info);
  std::fclose(file);
}

struct JpegStyle {
  int channels = 3;  // 1 grey, 3 RGB, 4 CMYK
  int quality = 95;
  bool progressive = false;
};

inline void write_jpeg(const std::string& path, int height, int width, const Pixels& pixels,
                       const JpegStyle& style = {}) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::FILE* file = std::fopen(path.c_str(), "wb");
  jpeg_compress_struct cinfo;
  jpeg_error_mgr errors;
  cinfo.err = jpeg_std_error(&errors);
  jpeg_create_compress(&cinfo);
  jpeg_stdio_dest(&cinfo, file);
  cinfo.image_height = static_cast<JDIMENSION>(height);
  cinfo.image_width = static_cast<JDIMENSION>(width);
  cinfo.input_components = style.channels;
  cinfo.in_color_space =
      style.channels == 1 ? JCS_GRAYSCALE : (style.channels == 3 ? JCS_RGB : JCS_CMYK);
  jpeg_set_defaults(&cinfo);
  jpeg_set_quality(&cinfo, style.quality, TRUE);
  if (style.progressive) jpeg_simple_progression(&cinfo);
  jpeg_start_compress(&cinfo, TRUE);
  Bytes row(static_cast<size_t>(width * style.channels));
  for (int y = 0; y < height; ++y) {
    for (size_t i = 0; i < row.size(); ++i) {
      const int n = static_cast<int>(i);
      row[i] = static_cast<uint8_t>(pixels(y, n / style.channels, n % style.channels));
    }
    JSAMPROW rows[] = {row.data()};
    jpeg_write_scanlines(&cinfo, rows, 1);
  }
  jpeg_finish_compress(&cinfo);
  jpeg_destroy_compress(&cinfo);
  std::fclose(file);
}

inline void append_u32(Bytes& bytes, uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) {
    bytes.push_back(static_cast<uint8_t>(value >> shift));
  }
}

// `count` pictures; the pixels of picture i are i, i + 1, i + 2, ...
inline Bytes idx_images(uint32_t count, uint32_t height, uint32_t width) {
  Bytes bytes;
  append_u32(bytes, 0x803);
  append_u32(bytes, count);
  append_u32(bytes, height);
  append_u32(bytes, width);
  for (uint32_t i = 0; i < count; ++i) {
    for (uint32_t p = 0; p < height * width; ++p) bytes.push_back(static_cast<uint8_t>(i + p));
  }
  return bytes;
}

inline Bytes idx_labels(const Bytes& labels) {
  Bytes bytes;
  append_u32(bytes, 0x801);
  append_u32(bytes, static_cast<uint32_t>(labels.size()));
  bytes.insert(bytes.end(), labels.begin(), labels.end());
  return bytes;
}

// Training and test parts with `count` pictures of 2x3; the label of picture i is i % 10.
inline void write_idx(const std::string& folder, uint32_t count) {
  Bytes labels;
  for (uint32_t i = 0; i < count; ++i) labels.push_back(static_cast<uint8_t>(i % 10));
  for (const char* prefix : {"/train", "/t10k"}) {
    write_file(folder + prefix + "-images-idx3-ubyte", idx_images(count, 2, 3));
    write_file(folder + prefix + "-labels-idx1-ubyte", idx_labels(labels));
  }
}

// Keeps a whole picture, as it came.
class Collect : public DecodeTarget {
 public:
  explicit Collect(int64_t factor = 1) : factor_(factor) {}
  int64_t shrink(int64_t, int64_t) const override { return factor_; }
  void begin(const ImageSize& size) override {
    size_ = size;
    pixels_.clear();
  }
  void row(const uint8_t* pixels) override {
    pixels_.insert(pixels_.end(), pixels, pixels + size_.width * size_.channels);
  }

  const ImageSize& size() const { return size_; }
  const Bytes& pixels() const { return pixels_; }  // (H, W, C)
  int at(int64_t y, int64_t x, int64_t c) const {
    return pixels_[static_cast<size_t>((y * size_.width + x) * size_.channels + c)];
  }

 private:
  int64_t factor_;
  ImageSize size_;
  Bytes pixels_;
};

// Memory aligned to 64.
class Scratch {
 public:
  explicit Scratch(int64_t bytes)
      : bytes_(static_cast<size_t>(bytes)),
        data_(static_cast<std::byte*>(
            std::aligned_alloc(64, static_cast<size_t>(round_up(bytes, 64))))) {}
  ~Scratch() { std::free(data_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  std::span<std::byte> span() const { return {data_, bytes_}; }
  void* data() const { return data_; }

 private:
  size_t bytes_;
  std::byte* data_;
};

// The message of the UserError that `body` throws; "" when it throws none.
template <class Body>
std::string error_of(const Body& body) {
  try {
    body();
  } catch (const UserError& error) {
    return error.what();
  }
  return "";
}

#define ASSERT_CONTAINS(text, part) \
  ASSERT_NE(std::string(text).find(part), std::string::npos) << "in: " << (text)

#define EXPECT_CONTAINS(text, part) \
  EXPECT_NE(std::string(text).find(part), std::string::npos) << "in: " << (text)

}  // namespace thimble::data_test
