#include "data/image_file.h"

#include <fcntl.h>
#include <unistd.h>

#include "fixtures.h"

namespace thimble::data_test {
namespace {

Collect decode(const std::string& path, int64_t memory_bytes = kMiB, int64_t factor = 1) {
  const std::filesystem::path file(path);
  const std::string folder = file.parent_path();
  const std::string name = file.filename();
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY);
  const Scratch memory(memory_bytes);
  Collect picture(factor);
  try {
    decode_image_file({fd, folder, name.c_str()}, memory.span(), picture);
  } catch (...) {
    ::close(fd);
    throw;
  }
  ::close(fd);
  return picture;
}

std::string decode_error(const std::string& path, int64_t memory_bytes = kMiB) {
  return error_of([&] { decode(path, memory_bytes); });
}

void expect_gradient(const Collect& picture, int height, int width, int tolerance) {
  ASSERT_EQ(picture.size().channels, 3);
  ASSERT_EQ(picture.size().height, height);
  ASSERT_EQ(picture.size().width, width);
  ASSERT_EQ(picture.pixels().size(), static_cast<size_t>(height * width * 3));
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (int c = 0; c < 3; ++c) ASSERT_NEAR(picture.at(y, x, c), gradient(y, x, c), tolerance);
    }
  }
}

// Slow enough for JPEG, and never wrapping.
int soft(int y, int x, int c) { return 40 + y + x / 2 + 20 * c; }

TEST(Png, RgbIsExact) {
  const TempDir dir;
  write_png(dir / "a.png", 37, 53, gradient);
  expect_gradient(decode(dir / "a.png"), 37, 53, 0);
}

TEST(Png, InterlacedIsExactAtOddSizes) {
  const TempDir dir;
  for (const auto& [h, w] : {std::pair{1, 1}, {3, 2}, {37, 53}}) {
    write_png(dir / "a.png", h, w, gradient, {.interlaced = true});
    expect_gradient(decode(dir / "a.png"), h, w, 0);
  }
}

TEST(Png, SixteenBitsBecomeEight) {
  const TempDir dir;
  write_png(dir / "a.png", 5, 7, gradient, {.depth = 16});
  expect_gradient(decode(dir / "a.png"), 5, 7, 0);
}

TEST(Png, TransparencyIsDropped) {
  const TempDir dir;
  write_png(dir / "a.png", 5, 7, gradient, {.color = PNG_COLOR_TYPE_RGB_ALPHA});
  expect_gradient(decode(dir / "a.png"), 5, 7, 0);
}

TEST(Png, GreyBecomesRgb) {
  const TempDir dir;
  for (const int color : {PNG_COLOR_TYPE_GRAY, PNG_COLOR_TYPE_GRAY_ALPHA}) {
    write_png(dir / "a.png", 2, 2, [](int y, int x, int) { return 100 + 2 * y + x; },
              {.color = color});
    EXPECT_EQ(decode(dir / "a.png").pixels(),
              (Bytes{100, 100, 100, 101, 101, 101, 102, 102, 102, 103, 103, 103}));
  }
}

TEST(Png, OneBitGreyBecomesBlackAndWhite) {
  const TempDir dir;
  write_png(dir / "a.png", 1, 8, [](int, int, int) { return 0xa0; },
            {.color = PNG_COLOR_TYPE_GRAY, .depth = 1});
  EXPECT_EQ(
      decode(dir / "a.png").pixels(),
      (Bytes{255, 255, 255, 0, 0, 0, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}));
}

TEST(Png, PaletteIsLookedUp) {
  const TempDir dir;
  write_png(dir / "a.png", 1, 2, [](int, int x, int) { return 10 + x; },
            {.color = PNG_COLOR_TYPE_PALETTE});
  EXPECT_EQ(decode(dir / "a.png").pixels(), (Bytes{10, 245, 7, 11, 244, 7}));
}

TEST(Png, HugePictureNeedsAFewRows) {
  const TempDir dir;
  write_png(dir / "a.png", 4000, 1000, gradient);
  expect_gradient(decode(dir / "a.png", 96 * kKiB), 4000, 1000, 0);
}

TEST(Png, InterlacedPictureThatDoesNotFitIsAnError) {
  const TempDir dir;
  write_png(dir / "a.png", 400, 1000, gradient, {.interlaced = true});
  EXPECT_CONTAINS(decode_error(dir / "a.png"),
                  "a.png: interlaced PNG of 1000x400 needs at least 1.17 MiB");
  expect_gradient(decode(dir / "a.png", 2 * kMiB), 400, 1000, 0);
}

TEST(Png, EveryCutIsAnError) {
  const TempDir dir;
  write_png(dir / "whole.png", 20, 20, gradient);
  const Bytes whole = read_file(dir / "whole.png");
  // The last 12 bytes are the end mark, which no pixel needs; before them stands a checksum.
  for (size_t bytes = 0; bytes < whole.size() - 16; ++bytes) {
    write_file(dir / "a.png", Bytes(whole.begin(), whole.begin() + static_cast<long>(bytes)));
    ASSERT_CONTAINS(decode_error(dir / "a.png"), dir / "a.png: ");
  }
}

TEST(Png, DamagedBytesAreAnError) {
  const TempDir dir;
  write_png(dir / "a.png", 20, 20, gradient);
  Bytes bytes = read_file(dir / "a.png");
  bytes[60] ^= 0x55;
  write_file(dir / "a.png", bytes);
  EXPECT_CONTAINS(decode_error(dir / "a.png"), "a.png: broken PNG: ");
}

TEST(Jpeg, RgbIsClose) {
  const TempDir dir;
  write_jpeg(dir / "a.jpg", 37, 53, soft);
  const Collect picture = decode(dir / "a.jpg");
  ASSERT_EQ(picture.pixels().size(), 37u * 53 * 3);
  for (int y = 0; y < 37; ++y) {
    for (int x = 0; x < 53; ++x) {
      for (int c = 0; c < 3; ++c) ASSERT_NEAR(picture.at(y, x, c), soft(y, x, c), 5);
    }
  }
}

TEST(Jpeg, GreyBecomesRgb) {
  const TempDir dir;
  write_jpeg(dir / "a.jpg", 9, 17, [](int, int, int) { return 77; }, {.channels = 1});
  EXPECT_EQ(decode(dir / "a.jpg").pixels(), Bytes(9 * 17 * 3, 77));
}

TEST(Jpeg, ProgressiveGivesTheSamePixels) {
  const TempDir dir;
  write_jpeg(dir / "a.jpg", 61, 83, soft);
  write_jpeg(dir / "b.jpg", 61, 83, soft, {.progressive = true});
  EXPECT_EQ(decode(dir / "a.jpg").pixels(), decode(dir / "b.jpg").pixels());
}

TEST(Jpeg, PixelsAreThoseOfLibjpegsOwnMemory) {
  const TempDir dir;
  write_jpeg(dir / "a.jpg", 45, 31, gradient, {.quality = 60});
  jpeg_decompress_struct cinfo;
  jpeg_error_mgr errors;
  cinfo.err = jpeg_std_error(&errors);
  jpeg_create_decompress(&cinfo);
  const Bytes file = read_file(dir / "a.jpg");
  jpeg_mem_src(&cinfo, file.data(), file.size());
  jpeg_read_header(&cinfo, TRUE);
  jpeg_start_decompress(&cinfo);
  Bytes pixels(45 * 31 * 3);
  while (cinfo.output_scanline < 45) {
    JSAMPROW row = &pixels[cinfo.output_scanline * 31 * 3];
    jpeg_read_scanlines(&cinfo, &row, 1);
  }
  jpeg_destroy_decompress(&cinfo);
  EXPECT_EQ(decode(dir / "a.jpg").pixels(), pixels);
}

TEST(Jpeg, ComesSmallerWhenTheTargetAllows) {
  const TempDir dir;
  write_jpeg(dir / "a.jpg", 101, 160, [](int, int, int) { return 200; });
  for (const int factor : {2, 4, 8}) {
    const Collect picture = decode(dir / "a.jpg", kMiB, factor);
    EXPECT_EQ(picture.size().height, (101 + factor - 1) / factor);
    EXPECT_EQ(picture.size().width, 160 / factor);
    EXPECT_EQ(picture.at(3, 5, 1), 200);
  }
}

TEST(Jpeg, HugePictureNeedsAFewRows) {
  const TempDir dir;
  write_jpeg(dir / "a.jpg", 4000, 3000, soft);
  EXPECT_EQ(decode(dir / "a.jpg", 256 * kKiB).pixels().size(), 36'000'000u);
}

TEST(Jpeg, ProgressivePictureThatDoesNotFitIsAnError) {
  const TempDir dir;
  write_jpeg(dir / "a.jpg", 800, 1000, soft, {.progressive = true});
  const std::string text = decode_error(dir / "a.jpg");
  EXPECT_CONTAINS(text, "a.jpg: progressive JPEG of 1000x800 needs at least ");
  EXPECT_CONTAINS(text, "to decode and has 1.00 MiB; hint: give it more (--decode-memory)");
  EXPECT_EQ(decode(dir / "a.jpg", 3 * kMiB).pixels().size(), 2'400'000u);
}

TEST(Jpeg, CmykIsAnError) {
  const TempDir dir;
  write_jpeg(dir / "a.jpg", 8, 8, gradient, {.channels = 4});
  EXPECT_EQ(decode_error(dir / "a.jpg"), dir / "a.jpg: a CMYK JPEG; needed RGB or grey");
}

TEST(Jpeg, EveryCutIsAnError) {
  const TempDir dir;
  for (const bool progressive : {false, true}) {
    write_jpeg(dir / "whole.jpg", 20, 20, gradient, {.progressive = progressive});
    const Bytes whole = read_file(dir / "whole.jpg");
    // The last 2 bytes are the end mark.
    for (size_t bytes = 0; bytes < whole.size() - 2; ++bytes) {
      write_file(dir / "a.jpg", Bytes(whole.begin(), whole.begin() + static_cast<long>(bytes)));
      ASSERT_CONTAINS(decode_error(dir / "a.jpg"), dir / "a.jpg: ");
    }
  }
}

TEST(Jpeg, MarkerInThePixelsIsAnError) {
  const TempDir dir;
  write_jpeg(dir / "a.jpg", 64, 64, gradient);
  Bytes bytes = read_file(dir / "a.jpg");
  bytes[bytes.size() - 500] = 0xff;
  bytes[bytes.size() - 499] = 0xd9;
  write_file(dir / "a.jpg", bytes);
  EXPECT_CONTAINS(decode_error(dir / "a.jpg"), "a.jpg: broken JPEG: Corrupt JPEG data");
}

TEST(ImageFile, ContentCountsNotTheName) {
  const TempDir dir;
  write_png(dir / "a.jpg", 6, 5, gradient);
  expect_gradient(decode(dir / "a.jpg"), 6, 5, 0);
}

TEST(ImageFile, OtherContentIsAnError) {
  const TempDir dir;
  write_file(dir / "a.png", {'h', 'e', 'l', 'l', 'o'});
  EXPECT_EQ(decode_error(dir / "a.png"), dir / "a.png: neither a JPEG nor a PNG file");
  write_file(dir / "b.png", {});
  EXPECT_EQ(decode_error(dir / "b.png"), dir / "b.png: the file is empty or cannot be read");
}

TEST(ImageFile, RandomDamageNeverCrashes) {
  const TempDir dir;
  write_jpeg(dir / "jpeg", 40, 40, gradient);
  write_jpeg(dir / "progressive", 40, 40, gradient, {.progressive = true});
  write_png(dir / "png", 40, 40, gradient, {.interlaced = true});
  int errors = 0;
  uint32_t draw = 1;
  for (const char* name : {"jpeg", "progressive", "png"}) {
    const Bytes whole = read_file(dir / name);
    for (int trial = 0; trial < 300; ++trial) {
      Bytes bytes = whole;
      for (int k = 0; k < 3; ++k) {
        draw = draw * 1664525 + 1013904223;
        bytes[draw % bytes.size()] = static_cast<uint8_t>(draw >> 24);
      }
      write_file(dir / "a", bytes);
      if (!decode_error(dir / "a").empty()) ++errors;
    }
  }
  EXPECT_GT(errors, 300);  // each damaged PNG fails its checksum
}

}  // namespace
}  // namespace thimble::data_test
