#include "base/bytes.h"

#include <array>
#include <cctype>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "base/error.h"

namespace thimble {
namespace {

struct Unit {
  std::string_view name;
  double bytes;
};

constexpr std::array<Unit, 14> kUnits = {{{"", 1},
                                          {"b", 1},
                                          {"kib", 1024.0},
                                          {"mib", 1048576.0},
                                          {"gib", 1073741824.0},
                                          {"tib", 1099511627776.0},
                                          {"kb", 1e3},
                                          {"mb", 1e6},
                                          {"gb", 1e9},
                                          {"tb", 1e12},
                                          {"k", 1024.0},
                                          {"m", 1048576.0},
                                          {"g", 1073741824.0},
                                          {"t", 1099511627776.0}}};

}  // namespace

int64_t parse_bytes(std::string_view text) {
  const std::string copy(text);
  char* end = nullptr;
  const double number = std::strtod(copy.c_str(), &end);
  std::string unit;
  for (const char* c = end; *c != '\0'; ++c) {
    if (!std::isspace(static_cast<unsigned char>(*c))) {
      unit += static_cast<char>(std::tolower(static_cast<unsigned char>(*c)));
    }
  }
  if (end != copy.c_str() && std::isfinite(number) && number >= 0) {
    for (const Unit& u : kUnits) {
      // 2^62 bytes keeps every sum of two sizes inside int64.
      if (u.name == unit && number * u.bytes < 4.6e18) {
        return static_cast<int64_t>(std::llround(number * u.bytes));
      }
    }
  }
  throw UserError(str_cat("cannot read '", copy,
                          "' as a number of bytes; write for example 96MiB, 1.5GiB or 350KB"));
}

std::string format_bytes(int64_t bytes) {
  constexpr std::array<const char*, 4> kNames = {"B", "KiB", "MiB", "GiB"};
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  while (std::abs(value) >= 1024 && unit + 1 < kNames.size()) {
    value /= 1024;
    ++unit;
  }
  std::array<char, 32> text;
  const int decimals = unit == 0 || std::abs(value) >= 1000 ? 0 : (std::abs(value) >= 10 ? 1 : 2);
  std::snprintf(text.data(), text.size(), "%.*f %s", decimals, value, kNames[unit]);
  return text.data();
}

}  // namespace thimble
