#pragma once

#include <exception>

#include "base/error.h"

namespace thimble::cli {

// What the program tells the shell.
enum ExitCode : int {
  kDone = 0,
  kFailed = 1,          // anything else
  kBadInput = 2,        // usage, files, values
  kDoesNotFit = 3,      // the plan is larger than the budget; nothing was run
  kBudgetExceeded = 4,  // it ran, and the measured peak was larger than the budget
  kSignalled = 128,     // and the signal's number, as shells say it: 130 for Ctrl-C
};

inline constexpr const char* kExitCodes =
    "Exit codes:\n"
    "  0  done\n"
    "  2  wrong usage or bad input: a flag, a file, a value\n"
    "  3  does not fit the budget; nothing was run\n"
    "  4  it ran, and the measured peak went over the budget\n"
    "  130, 143  interrupted or terminated; train left a checkpoint for --resume\n"
    "  1  anything else\n";

inline ExitCode exit_code(const std::exception& error) {
  if (dynamic_cast<const DoesNotFit*>(&error) != nullptr) return kDoesNotFit;
  return dynamic_cast<const UserError*>(&error) != nullptr ? kBadInput : kFailed;
}

}  // namespace thimble::cli
