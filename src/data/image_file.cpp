#include "data/image_file.h"

#include <algorithm>

#include "base/bytes.h"
#include "data/bump_pool.h"
#include "data/jpeg.h"
#include "data/png.h"

namespace thimble {
namespace {

constexpr size_t kReadBytes = 16 * 1024;

bool starts_with(std::span<const uint8_t> bytes, std::span<const uint8_t> wanted) {
  return bytes.size() >= wanted.size() && std::equal(wanted.begin(), wanted.end(), bytes.begin());
}

}  // namespace

void decode_image_file(const FileName& name, std::span<std::byte> memory, DecodeTarget& target) {
  constexpr uint8_t kJpeg[] = {0xff, 0xd8, 0xff};
  constexpr uint8_t kPng[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
  BumpPool pool(memory);
  auto* buffer = static_cast<uint8_t*>(pool.take(kReadBytes));
  require(buffer != nullptr, "decoding pictures needs more than ",
          format_bytes(static_cast<int64_t>(memory.size())));
  FileStream file(name, {buffer, kReadBytes});
  if (!file.fill()) file.fail("the file is empty or cannot be read");
  if (starts_with(file.ready(), kJpeg)) {
    decode_jpeg(file, pool, target);
  } else if (starts_with(file.ready(), kPng)) {
    decode_png(file, pool, target);
  } else {
    file.fail("neither a JPEG nor a PNG file");
  }
}

}  // namespace thimble
