#pragma once

#include "data/bump_pool.h"
#include "data/dataset.h"
#include "data/file_stream.h"

namespace thimble {

// Streams a JPEG file into `target` as RGB, shrunk as the target allows. Sequential files need
// about 45 bytes for each column, progressive ones all their coefficients: 3 to 6 bytes for each
// pixel. Throws UserError naming the file when it is broken, CMYK, or does not fit in the pool.
void decode_jpeg(FileStream& file, BumpPool& pool, DecodeTarget& target);

}  // namespace thimble
