#include "data/jpeg.h"

#include "data/c_errors.h"
#include "data/image_file.h"
#include "data/jpeg_memory.h"
#include "data/libjpeg.h"

namespace thimble {
namespace {

CReader& reader_of(j_common_ptr cinfo) { return *static_cast<CReader*>(cinfo->client_data); }

void on_error(j_common_ptr cinfo) {
  char text[JMSG_LENGTH_MAX];
  cinfo->err->format_message(cinfo, text);
  reader_of(cinfo).abandon(text);
}

// Damage to the pixels is only a warning to libjpeg, which makes them up. Training must know.
void on_message(j_common_ptr cinfo, int level) {
  if (level >= 0) return;
  switch (cinfo->err->msg_code) {
    case JWRN_HIT_MARKER:
    case JWRN_HUFF_BAD_CODE:
    case JWRN_MUST_RESYNC:
    case JWRN_ARITH_BAD_CODE:
    case JWRN_BOGUS_PROGRESSION:
      on_error(cinfo);
      break;
    default:
      break;
  }
}

void print_nothing(j_common_ptr) {}

void start_source(j_decompress_ptr) {}
void end_source(j_decompress_ptr) {}

void offer(j_decompress_ptr cinfo) {
  const auto ready = reader_of(reinterpret_cast<j_common_ptr>(cinfo)).file->ready();
  cinfo->src->next_input_byte = ready.data();
  cinfo->src->bytes_in_buffer = ready.size();
}

boolean fill(j_decompress_ptr cinfo) {
  CReader& reader = reader_of(reinterpret_cast<j_common_ptr>(cinfo));
  if (!reader.file->fill()) reader.abandon("the file ends early");
  offer(cinfo);
  return TRUE;
}

void skip(j_decompress_ptr cinfo, long count) {
  auto left = static_cast<size_t>(count > 0 ? count : 0);
  while (left > cinfo->src->bytes_in_buffer) {
    left -= cinfo->src->bytes_in_buffer;
    fill(cinfo);
  }
  cinfo->src->next_input_byte += left;
  cinfo->src->bytes_in_buffer -= left;
}

class JpegFile {
 public:
  JpegFile(FileStream& file, BumpPool& pool) {
    reader_.file = &file;
    reader_.pool = &pool;
    cinfo_.err = jpeg_std_error(&errors_);
    cinfo_.client_data = &reader_;
    errors_.error_exit = on_error;
    errors_.emit_message = on_message;
    errors_.output_message = print_nothing;
    run([this] {
      jpeg_create_decompress(&cinfo_);
      use_pool(cinfo_, memory_);
      source_ = {};
      source_.init_source = start_source;
      source_.fill_input_buffer = fill;
      source_.skip_input_data = skip;
      source_.resync_to_restart = jpeg_resync_to_restart;
      source_.term_source = end_source;
      cinfo_.src = &source_;
      offer(&cinfo_);
    });
  }
  ~JpegFile() { jpeg_destroy_decompress(&cinfo_); }
  JpegFile(const JpegFile&) = delete;
  JpegFile& operator=(const JpegFile&) = delete;

  void decode(DecodeTarget& target) {
    run([this] { jpeg_read_header(&cinfo_, TRUE); });
    const int64_t height = cinfo_.image_height;
    const int64_t width = cinfo_.image_width;
    FileStream& file = *reader_.file;
    if (cinfo_.jpeg_color_space == JCS_CMYK || cinfo_.jpeg_color_space == JCS_YCCK) {
      file.fail("a CMYK JPEG; needed RGB or grey");
    }
    if (height * width > kMaxPixels) {
      file.fail(width, "x", height, " is more than ", kMaxPixels, " pixels");
    }
    progressive_ = jpeg_has_multiple_scans(&cinfo_) != FALSE;
    cinfo_.out_color_space = JCS_RGB;
    cinfo_.scale_num = 1;
    cinfo_.scale_denom = static_cast<unsigned>(target.shrink(height, width));
    JSAMPARRAY rows = nullptr;
    run([this, &rows] {
      jpeg_start_decompress(&cinfo_);
      rows = cinfo_.mem->alloc_sarray(reinterpret_cast<j_common_ptr>(&cinfo_), JPOOL_IMAGE,
                                      3 * cinfo_.output_width, 1);
    });
    target.begin({3, cinfo_.output_height, cinfo_.output_width});
    while (cinfo_.output_scanline < cinfo_.output_height) {
      run([this, rows] { jpeg_read_scanlines(&cinfo_, rows, 1); });
      target.row(rows[0]);
    }
  }

 private:
  template <class Body>
  void run(const Body& body) {
    if (guarded(reader_, body)) return;
    // A constructor that throws leaves no destructor to call.
    jpeg_destroy_decompress(&cinfo_);
    fail_reading(reader_, progressive_ ? "progressive JPEG" : "JPEG", cinfo_.image_height,
                 cinfo_.image_width);
  }

  CReader reader_;
  JpegMemory memory_;
  jpeg_error_mgr errors_;
  jpeg_source_mgr source_;
  jpeg_decompress_struct cinfo_ = {};
  bool progressive_ = false;
};

}  // namespace

void decode_jpeg(FileStream& file, BumpPool& pool, DecodeTarget& target) {
  JpegFile(file, pool).decode(target);
}

}  // namespace thimble
