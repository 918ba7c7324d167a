#include "transforms/core/technique.h"

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

std::string text_of(const Setting& setting) {
  const Technique& t = *setting.technique;
  if (t.describe) return t.describe(setting.option);
  return setting.option == 1 ? t.name : str_cat(t.name, ": ", setting.option);
}

}  // namespace thimble
