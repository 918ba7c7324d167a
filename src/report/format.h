#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace thimble {

// "0.432" for (0.4321, 3); "-" for what is not a number.
std::string format_fixed(double value, int decimals);
// Of a ratio of signal to noise that is infinite: "exact" without noise; "none" of the signal left.
const char* word_of_endless(double ratio_db);
// "950", "1.05M", "4.1G": three significant digits and a decimal prefix.
std::string format_count(int64_t count);
// "12.3 ms", "1.23 s".
std::string format_seconds(double seconds);
// "2:13", "1:02:03"; "-:--" when it is not known.
std::string format_clock(double seconds);
// "8x64x56x56".
std::string format_shape(const std::vector<int64_t>& shape);
// "5321" or "31.4", a rate.
std::string format_rate(double per_second);
// "95552KiB": nothing rounded away, in the form that --budget reads.
std::string exact_bytes(int64_t bytes);
// "93.4", in MiB; one decimal.
std::string format_mebibytes(int64_t bytes);

// Characters on the screen: all bytes of UTF-8 but those that continue a character.
size_t screen_width(const std::string& text);

// `width` characters, of which the share `fraction` is filled. Blocks, or # and . in plain ASCII.
std::string format_bar(double fraction, int width, bool unicode);

}  // namespace thimble
