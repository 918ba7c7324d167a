#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/bytes.h"
#include "data/dataset.h"
#include "data/file_stream.h"

namespace thimble {

// Pictures with more pixels are refused: they are mistakes or attacks, and take minutes.
inline constexpr int64_t kMaxPixels = int64_t{1} << 28;

// Less memory would not even do for the tables of the image libraries.
inline constexpr int64_t kLeastDecodeBytes = 128 * kKiB;

// Streams a JPEG or PNG file into `target` as RGB. The kind is told by the content, not the name.
// Grey becomes RGB, 16 bits become 8, palettes are looked up and transparency is dropped. All
// memory, also of the image libraries, comes from `memory` (aligned to 64) but for about 2 KiB.
// Throws UserError naming the file when it is broken or needs more.
void decode_image_file(const FileName& name, std::span<std::byte> memory, DecodeTarget& target);

}  // namespace thimble
