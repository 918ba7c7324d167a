#include "transforms/core/technique.h"

#include <algorithm>

#include "base/error.h"

namespace thimble {

const char* name_of(Promise promise) {
  switch (promise) {
    case Promise::bit_exact:
      return "bit_exact";
    case Promise::same_math:
      return "same_math";
    case Promise::approximate:
      return "approximate";
  }
  return "?";
}

const Technique* find_technique(const std::string& name) {
  const auto& all = techniques();
  const auto it =
      std::find_if(all.begin(), all.end(), [&](const Technique* t) { return t->name == name; });
  return it == all.end() ? nullptr : *it;
}

std::string text_of(const Setting& setting) {
  const Technique& t = *setting.technique;
  if (t.describe) return t.describe(setting.option);
  return setting.option == 1 ? t.name : str_cat(t.name, ": ", setting.option);
}

}  // namespace thimble
