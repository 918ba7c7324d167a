#pragma once

#include "data/bump_pool.h"
#include "data/dataset.h"
#include "data/file_stream.h"

namespace thimble {

// Streams a PNG file into `target` as RGB. Needs about 50 KiB and up to 19 bytes for each column;
// an interlaced file also 3 bytes for each pixel. Throws UserError naming the file when it is
// broken or does not fit in the pool.
void decode_png(FileStream& file, BumpPool& pool, DecodeTarget& target);

}  // namespace thimble
