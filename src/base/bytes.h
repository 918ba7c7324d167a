#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace thimble {

inline constexpr int64_t kKiB = 1024;
inline constexpr int64_t kMiB = 1024 * kKiB;
inline constexpr int64_t kGiB = 1024 * kMiB;

inline constexpr int64_t round_up(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

// Reads "96MiB", "1.5 GiB", "350KB", "4096": binary (KiB) and decimal (KB) units, bytes when no
// unit is given. Throws UserError on anything else.
int64_t parse_bytes(std::string_view text);

// "93.4 MiB": three significant digits in the largest binary unit that keeps the number above 1.
std::string format_bytes(int64_t bytes);

}  // namespace thimble
