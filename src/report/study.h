#pragma once

#include <string>
#include <vector>

#include "thimble/thimble.h"

namespace thimble {

// The tables of a study: a title, what was set, rows of numbers. What was not measured is "-".
std::string study_text(const StudyTable& table);
// {"tables": [{"name", "title", "settings", "columns", "rows": [{"label", "values"}]}]}; values
// that are not known are null, endless ones "exact", those that are no number any more "none".
std::string study_json(const std::vector<StudyTable>& tables);

}  // namespace thimble
