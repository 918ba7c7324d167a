#include "data/png.h"

#include <png.h>

#include <algorithm>
#include <cstring>

#include "data/c_errors.h"
#include "data/image_file.h"

namespace thimble {
namespace {

void on_error(png_structp png, png_const_charp text) {
  static_cast<CReader*>(png_get_error_ptr(png))->abandon(text);
}

void on_warning(png_structp, png_const_charp) {}

// Returns null rather than abandoning, since libpng has ways to go on.
png_voidp allocate(png_structp png, png_alloc_size_t bytes) {
  auto* reader = static_cast<CReader*>(png_get_mem_ptr(png));
  void* piece = reader->pool->take(bytes);
  if (piece == nullptr) reader->out_of_memory = true;
  return piece;
}

void release(png_structp png, png_voidp piece) {
  static_cast<CReader*>(png_get_mem_ptr(png))->pool->give_back(piece);
}

void read(png_structp png, png_bytep to, size_t bytes) {
  auto* reader = static_cast<CReader*>(png_get_io_ptr(png));
  FileStream& file = *reader->file;
  while (bytes > 0) {
    if (file.ready().empty() && !file.fill()) reader->abandon("the file ends early");
    const size_t n = std::min(bytes, file.ready().size());
    std::memcpy(to, file.ready().data(), n);
    file.consume(n);
    to += n;
    bytes -= n;
  }
}

class PngFile {
 public:
  PngFile(FileStream& file, BumpPool& pool) {
    reader_.file = &file;
    reader_.pool = &pool;
    run([this] {
      png_ = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, &reader_, on_error, on_warning,
                                      &reader_, allocate, release);
      info_ = png_ == nullptr ? nullptr : png_create_info_struct(png_);
      if (info_ == nullptr) reader_.abandon("cannot start libpng");
      png_set_read_fn(png_, &reader_, read);
      // Colour profiles, texts and the like may be large and change no pixel that we use.
      png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
    });
  }
  ~PngFile() { png_destroy_read_struct(&png_, &info_, nullptr); }
  PngFile(const PngFile&) = delete;
  PngFile& operator=(const PngFile&) = delete;

  void decode(DecodeTarget& target) {
    run([this] { png_read_info(png_, info_); });
    height_ = png_get_image_height(png_, info_);
    width_ = png_get_image_width(png_, info_);
    if (height_ * width_ > kMaxPixels) {
      reader_.file->fail(width_, "x", height_, " is more than ", kMaxPixels, " pixels");
    }
    interlaced_ = png_get_interlace_type(png_, info_) != PNG_INTERLACE_NONE;
    const auto row_bytes = static_cast<size_t>(3 * width_);
    uint8_t* rows = nullptr;  // one, or all when interlaced: (H, W, 3)
    run([this, &rows, row_bytes] {
      want_rgb();
      rows = static_cast<uint8_t*>(
          reader_.take(interlaced_ ? static_cast<size_t>(height_) * row_bytes : row_bytes));
      if (interlaced_) read_passes(rows, row_bytes);
    });
    target.begin({3, height_, width_});
    for (int64_t y = 0; y < height_; ++y) {
      if (interlaced_) {
        target.row(rows + static_cast<size_t>(y) * row_bytes);
      } else {
        run([this, rows] { png_read_row(png_, rows, nullptr); });
        target.row(rows);
      }
    }
  }

 private:
  void want_rgb() {
    png_set_scale_16(png_);
    png_set_expand(png_);
    png_set_gray_to_rgb(png_);
    png_set_strip_alpha(png_);
    if (interlaced_) png_set_interlace_handling(png_);
    png_read_update_info(png_, info_);
    if (png_get_rowbytes(png_, info_) != static_cast<size_t>(3 * width_)) {
      reader_.abandon("its pixels do not turn into RGB");
    }
  }

  // Each pass fills some pixels of some rows.
  void read_passes(uint8_t* rows, size_t row_bytes) {
    for (int pass = 0; pass < PNG_INTERLACE_ADAM7_PASSES; ++pass) {
      for (int64_t y = 0; y < height_; ++y) {
        png_read_row(png_, rows + static_cast<size_t>(y) * row_bytes, nullptr);
      }
    }
  }

  template <class Body>
  void run(const Body& body) {
    if (guarded(reader_, body)) return;
    // A constructor that throws leaves no destructor to call.
    png_destroy_read_struct(&png_, &info_, nullptr);
    fail_reading(reader_, interlaced_ ? "interlaced PNG" : "PNG", height_, width_);
  }

  CReader reader_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  int64_t height_ = 0;
  int64_t width_ = 0;
  bool interlaced_ = false;
};

}  // namespace

void decode_png(FileStream& file, BumpPool& pool, DecodeTarget& target) {
  PngFile(file, pool).decode(target);
}

}  // namespace thimble
