#pragma once

#include <sstream>
#include <string>
#include <vector>

#include "graph/attributes.h"

namespace thimble {

// "[3,3]": an attribute list as error messages show it.
inline std::string text_of(const std::vector<int64_t>& values) {
  std::ostringstream out;
  out << AttributeValue(values);
  return out.str();
}

}  // namespace thimble
