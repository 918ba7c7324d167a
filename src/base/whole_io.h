#pragma once

#include <cstdint>
#include <limits>
#include <string>

namespace thimble {

// Writes all of it; false with errno when the system takes no more.
bool write_all(int file, const void* bytes, int64_t count);

// Reads so many bytes at `offset`. How many came before the file ended; below 0 with errno when it
// cannot be read.
int64_t read_all(int file, void* to, int64_t bytes, int64_t offset);

// Makes an empty file that long, its room taken from the disk. errno, or 0.
int take_room(int file, int64_t bytes);

// What comes until the end, or until it cannot be read; of more than `most` bytes the last ones, at
// least so many.
std::string read_to_end(int file, size_t most = std::numeric_limits<size_t>::max() / 2);

}  // namespace thimble
