#include "runtime/metadata.h"

#include <cstdio>
#include <cstdlib>

#include "base/error.h"

namespace thimble {

std::string exact_text(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%a", value);
  return text;
}

double metadata_number(const std::string& text, const char* name, const std::string& path) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  require(!text.empty() && *end == '\0' && value >= 0 && value < 0x1p53, path, ": its ", name,
          " is '", text, "', needs a number");
  return value;
}

}  // namespace thimble
