#include "planner/numerics.h"

#include <charconv>
#include <sstream>

#include "base/error.h"
#include "planner/recompute_text.h"

namespace thimble {
namespace {

constexpr const char* kMicrobatch = "microbatch";
constexpr std::string_view kPinned = " runs ";

}  // namespace

std::string text_of(const Numerics& numerics) {
  std::string text = str_cat(kMicrobatch, '=', numerics.microbatches);
  for (const Setting& s : numerics.settings) text += str_cat(',', s.technique->name, '=', s.option);
  if (!numerics.pinned) return text;
  std::ostringstream out;
  out << text << kPinned;
  if (numerics.recompute) write(out, *numerics.recompute);
  return out.str();
}

Numerics parse_numerics(const std::string& text) {
  Numerics numerics;
  const size_t rest = text.find(kPinned);
  if (rest != text.npos) {
    numerics.pinned = true;
    std::istringstream plan(text.substr(rest + kPinned.size()));
    if (plan >> std::ws && !plan.eof()) numerics.recompute = read_recompute_plan(plan);
  }
  std::istringstream in(text.substr(0, rest));
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
