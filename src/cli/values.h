#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/names.h"

// Reads the values of flags. Each function throws UserError that says which flag, what came and
// what was needed.
namespace thimble::cli {

template <class Number>
bool read_number(std::string_view text, Number& value) {
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
  return read.ec == std::errc() && read.ptr == text.data() + text.size();
}

inline int64_t parse_integer(std::string_view flag, std::string_view text, int64_t least,
                             int64_t most) {
  int64_t value = 0;
  require(read_number(text, value) && value >= least && value <= most, flag, " is '", text,
          "', needs a whole number from ", least, " to ", most);
  return value;
}

inline uint64_t parse_seed(std::string_view flag, std::string_view text) {
  uint64_t value = 0;
  require(read_number(text, value), flag, " is '", text, "', needs a whole number from 0 to ",
          UINT64_MAX);
  return value;
}

// The numbers from `least` to `most`; an end that is `open` does not belong to them.
struct Interval {
  double least = 0;
  double most = 1;
  bool open_least = false;
  bool open_most = false;

  bool holds(double x) const {
    return (open_least ? x > least : x >= least) && (open_most ? x < most : x <= most);
  }
  std::string text() const {
    return str_cat(open_least ? "above " : "of at least ", least,
                   open_most ? " and below " : " and at most ", most);
  }
};

inline double parse_real(std::string_view flag, std::string_view text, const Interval& interval) {
  double value = 0;
  require(read_number(text, value) && std::isfinite(value) && interval.holds(value), flag, " is '",
          text, "', needs a number ", interval.text());
  return value;
}

inline std::string parse_choice(std::string_view flag, const std::string& text,
                                const std::vector<std::string>& choices) {
  if (std::find(choices.begin(), choices.end(), text) != choices.end()) return text;
  throw UserError(str_cat(flag, " is '", text, "', needs one of ", joined(choices),
                          did_you_mean(text, choices)));
}

// Parts between separators; an empty part stays.
inline std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts = {""};
  for (char c : text) {
    if (c == separator) {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

// What --input says about images; 0 where it says nothing.
struct InputSize {
  int64_t channels = 0;
  int64_t height = 0;
  int64_t width = 0;
  friend bool operator==(const InputSize&, const InputSize&) = default;
};

// "224", "32x32" or "1x28x28".
inline InputSize parse_input(std::string_view flag, std::string_view text) {
  constexpr int64_t kLargest = 65536;  // the largest side of a JPEG file
  const std::vector<std::string> parts = split(text, 'x');
  std::array<int64_t, 3> sizes = {};
  bool good = parts.size() <= sizes.size();
  for (size_t i = 0; good && i < parts.size(); ++i) {
    good = read_number(parts[i], sizes[i]) && sizes[i] >= 1 && sizes[i] <= kLargest;
  }
  require(good, flag, " is '", text, "', needs the size of images such as 224, 32x32 (height x ",
          "width) or 1x28x28 (channels first), each from 1 to ", kLargest);
  if (parts.size() == 1) return {0, sizes[0], sizes[0]};
  if (parts.size() == 2) return {0, sizes[0], sizes[1]};
  return {sizes[0], sizes[1], sizes[2]};
}

// "key=value".
inline std::pair<std::string, std::string> parse_pair(std::string_view flag,
                                                      const std::string& text) {
  const size_t at = text.find('=');
  require(at != std::string::npos && at > 0 && at + 1 < text.size(), flag, " is '", text,
          "', needs key=value");
  return {text.substr(0, at), text.substr(at + 1)};
}

// "30,60,80": epochs, each later than the one before.
inline std::vector<int64_t> parse_epochs(std::string_view flag, std::string_view text) {
  std::vector<int64_t> epochs;
  bool good = true;
  for (const std::string& part : split(text, ',')) {
    int64_t epoch = 0;
    good = good && read_number(part, epoch) && epoch > (epochs.empty() ? 0 : epochs.back());
    epochs.push_back(epoch);
  }
  require(good, flag, " is '", text, "', needs rising epochs such as 30,60,80");
  return epochs;
}

}  // namespace thimble::cli
