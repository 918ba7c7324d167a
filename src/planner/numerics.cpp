#include "planner/numerics.h"

#include <charconv>
#include <sstream>

#include "base/error.h"

namespace thimble {
namespace {

constexpr const char* kMicrobatch = "microbatch";

}  // namespace

std::string text_of(const Numerics& numerics) {
  std::string text = str_cat(kMicrobatch, '=', numerics.microbatches);
  for (const Setting& s : numerics.settings) text += str_cat(',', s.technique->name, '=', s.option);
  return text;
}

Numerics parse_numerics(const std::string& text) {
  Numerics numerics;
  std::istringstream in(text);
  for (std::string item; std::getline(in, item, ',');) {
    const size_t equals = item.find('=');
    const std::string name = item.substr(0, equals);
    int64_t value = 0;
    const char* end = item.data() + item.size();
    const bool valued =
        equals != item.npos && std::from_chars(item.data() + equals + 1, end, value).ptr == end;
    const Technique* technique = find_technique(name);
    require(valued && value > 0 && technique != nullptr, "'", item,
            "' is no technique of this thimble with a positive number, such as microbatch=4");
    if (name == kMicrobatch) {
      numerics.microbatches = value;
    } else {
      numerics.settings.push_back({technique, value});
    }
  }
  return numerics;
}

}  // namespace thimble
