#include "report/format.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

namespace thimble {

std::string format_fixed(double value, int decimals) {
  if (!std::isfinite(value)) return "-";
  std::array<char, 352> text;  // the largest double has 309 digits before the point
  std::snprintf(text.data(), text.size(), "%.*f", decimals, value);
  return text.data();
}

const char* word_of_endless(double ratio_db) { return ratio_db > 0 ? "exact" : "none"; }

std::string format_count(int64_t count) {
  constexpr std::array<const char*, 5> kPrefixes = {"", "k", "M", "G", "T"};
  auto value = static_cast<double>(count);
  size_t prefix = 0;
  while (value >= 999.5 && prefix + 1 < kPrefixes.size()) {
    value /= 1000;
    ++prefix;
  }
  const int decimals = prefix == 0 || value >= 99.95 ? 0 : (value >= 9.995 ? 1 : 2);
  return format_fixed(value, decimals) + kPrefixes[prefix];
}

std::string format_seconds(double seconds) {
  if (seconds >= 1) return format_fixed(seconds, 2) + " s";
  return format_fixed(seconds * 1e3, seconds < 0.01 ? 2 : 1) + " ms";
}

std::string format_clock(double seconds) {
  constexpr double kLongest = 1e7;  // seconds: nobody waits longer
  if (!(seconds >= 0 && seconds < kLongest)) return "-:--";
  const auto total = static_cast<int>(std::lround(seconds));
  std::array<char, 32> text;
  if (total >= 3600) {
    std::snprintf(text.data(), text.size(), "%d:%02d:%02d", total / 3600, total / 60 % 60,
                  total % 60);
  } else {
    std::snprintf(text.data(), text.size(), "%d:%02d", total / 60, total % 60);
  }
  return text.data();
}

std::string format_shape(const std::vector<int64_t>& shape) {
  std::string text;
  for (int64_t size : shape) text += (text.empty() ? "" : "x") + std::to_string(size);
  return text.empty() ? "scalar" : text;
}

std::string format_rate(double per_second) {
  return format_fixed(per_second, per_second >= 99.95 ? 0 : 1);
}

std::string exact_bytes(int64_t bytes) {
  if (bytes % (1 << 20) == 0) return std::to_string(bytes / (1 << 20)) + "MiB";
  if (bytes % (1 << 10) == 0) return std::to_string(bytes / (1 << 10)) + "KiB";
  return std::to_string(bytes);
}

std::string format_mebibytes(int64_t bytes) {
  return format_fixed(static_cast<double>(bytes) / 1048576, 1);
}

size_t screen_width(const std::string& text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

std::string format_bar(double fraction, int width, bool unicode) {
  const double share = fraction > 0 ? std::min(fraction, 1.0) : 0;  // NaN counts as 0
  const auto filled = static_cast<int>(std::lround(share * width));
  std::string text;
  for (int i = 0; i < width; ++i) {
    text += i < filled ? (unicode ? "█" : "#") : (unicode ? "░" : ".");
  }
  return text;
}

}  // namespace thimble
