#pragma once

#include <string>
#include <vector>

#include "report/text.h"
#include "thimble/thimble.h"

namespace thimble {

// The configurations of a stack beside each other: bytes, what they are spent on, time, network and
// accuracy, and what is known of other programs.
std::string stack_text(const std::vector<StackStep>& steps, const TextStyle& style);
// One line, when a configuration is done.
std::string stack_line(const StackStep& step);
// {"steps": [...]}: what was not measured is null.
std::string stack_json(const std::vector<StackStep>& steps);

}  // namespace thimble
