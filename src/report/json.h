#pragma once

#include <string>
#include <vector>

#include "thimble/thimble.h"

namespace thimble {

// One JSON object each, with names that do not change between versions. What was not measured
// (the plan did not fit) or is not a number is null.
std::string to_json(const PlanReport& report);
std::string to_json(const TrainReport& report);
std::string to_json(const EvalReport& report);
std::string to_json(const CalibrationReport& report);
std::string to_json(const Profile& profile);
// {"<what>": [{"name", "summary"}]}; `what` is models, data, ops, ...
std::string to_json(const Listing& listing, const std::string& what);
std::string written_json(const std::string& file);  // {"file"}: what was written
// {"error": {"message", "exit_code"}}: the answer of a command that failed.
std::string error_json(const std::string& message, int exit_code);

}  // namespace thimble
