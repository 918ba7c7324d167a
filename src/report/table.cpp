#include "report/table.h"

#include <algorithm>

#include "report/format.h"

namespace thimble {
std::string Table::text() const {
  std::vector<size_t> widths(align.size());
  for (const auto& row : rows) {
    for (size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], screen_width(row[c]));
  }
  std::string out;
  for (const auto& row : rows) {
    std::string line;
    for (size_t c = 0; c < row.size(); ++c) {
      const std::string space(widths[c] - screen_width(row[c]), ' ');
      line += "  " + (align[c] == 'r' ? space + row[c] : row[c] + space);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

}  // namespace thimble
