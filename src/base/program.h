#pragma once

#include <string>
#include <vector>

namespace thimble {

struct ProgramResult {
  bool started = false;
  int exit_code = 0;   // 128 and the signal's number when one ended it
  std::string errors;  // the end of what it wrote to standard error
};

// Runs a program to its end; `arguments[0]` is its path, or a name to be found on the PATH. Its
// standard output is this process's standard error.
ProgramResult run_program(const std::vector<std::string>& arguments);

}  // namespace thimble
