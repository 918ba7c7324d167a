#pragma once

#include <string>
#include <vector>

namespace thimble {

// Rows of cells under each other, two spaces between columns and before the first.
struct Table {
  std::string align;                                // a letter for each column: l or r
  std::vector<std::vector<std::string>> rows = {};  // a shorter row ends early

  // No spaces at the ends of lines.
  std::string text() const;
};

}  // namespace thimble
