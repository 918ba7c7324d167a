#include "report/study.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "report/format.h"
#include "report/table.h"

namespace thimble {
namespace {

using Json = nlohmann::ordered_json;

// Three digits or more, none behind the point that say nothing.
std::string number(double value) {
  if (std::isnan(value)) return "-";
  if (std::isinf(value)) return word_of_endless(value);
  const double size = std::abs(value);
  return format_fixed(value, size >= 100 ? 0 : size >= 10 ? 1 : 3);
}

// JSON has no number for what was not measured, nor for ratios without noise or with endless.
Json json_number(double value) {
  if (std::isnan(value)) return {};
  return std::isfinite(value) ? Json(value) : Json(word_of_endless(value));
}

}  // namespace

std::string study_text(const StudyTable& t) {
  Table table = {"l" + std::string(t.columns.size(), 'r'), {{""}}};
  for (const std::string& column : t.columns) table.rows[0].push_back(column);
  for (const StudyTable::Row& row : t.rows) {
    table.rows.push_back({row.label});
    for (double value : row.values) table.rows.back().push_back(number(value));
  }
  return str_cat(t.title, "\n  ", t.settings, "\n\n", table.text(), '\n');
}

std::string study_json(const std::vector<StudyTable>& tables) {
  Json all = Json::array();
  for (const StudyTable& t : tables) {
    Json rows = Json::array();
    for (const StudyTable::Row& row : t.rows) {
      Json values = Json::array();
      for (double value : row.values) values.push_back(json_number(value));
      rows.push_back({{"label", row.label}, {"values", values}});
    }
    all.push_back({{"name", t.name},
                   {"title", t.title},
                   {"settings", t.settings},
                   {"columns", t.columns},
                   {"rows", rows}});
  }
  return Json{{"tables", all}}.dump(2) + "\n";
}

}  // namespace thimble
