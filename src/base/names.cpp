#include "base/names.h"

#include <algorithm>
#include <filesystem>
#include <numeric>

namespace thimble {
namespace {

constexpr size_t kPrefix = 3;  // letters that are enough to tell what was meant

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replaced = diagonal + (a[i] != b[j]);
      diagonal = row[j + 1];
      row[j + 1] = std::min({row[j + 1] + 1, row[j] + 1, replaced});
    }
  }
  return row.back();
}

}  // namespace

std::string nearest_name(std::string_view given, const std::vector<std::string>& names) {
  size_t best = std::max<size_t>(2, given.size() / 3) + 1;
  std::string nearest;
  for (const std::string& name : names) {
    // The beginning of a name is nearer than any mistyped one.
    const bool begins = given.size() >= kPrefix && name.starts_with(given);
    const size_t distance = begins ? 0 : edit_distance(given, name);
    if (distance >= best) continue;
    best = distance;
    nearest = name;
  }
  return nearest;
}

std::string joined(const std::vector<std::string>& names) {
  std::string list;
  for (const std::string& name : names) list += (list.empty() ? "" : ", ") + name;
  return list;
}

std::string did_you_mean(std::string_view given, const std::vector<std::string>& names) {
  const std::string nearest = nearest_name(given, names);
  return nearest.empty() ? "" : "; did you mean '" + nearest + "'?";
}

std::string last_part(const std::string& path) {
  const std::filesystem::path whole = path;
  return (whole.has_filename() ? whole : whole.parent_path()).filename().string();
}

}  // namespace thimble
