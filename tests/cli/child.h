#pragma once

#include <sys/wait.h>

#include <cstdlib>
#include <string>

#include "data/fixtures.h"

namespace thimble::cli_test {

using data_test::TempDir;

struct Finished {
  int exit_code = -1;  // -1: ended by a signal
  std::string out;
  std::string err;
};

inline std::string text_of(const std::string& file) {
  const data_test::Bytes bytes = data_test::read_file(file);
  return std::string(bytes.begin(), bytes.end());
}

// Runs a line of shell in which $thimble is the program.
inline Finished shell(const std::string& line) {
  const TempDir dir;
  const std::string command = "thimble='" THIMBLE_CLI "'; { " + line + "\n} >'" + dir / "out" +
                              "' 2>'" + dir / "err" + "' </dev/null";
  const int status = std::system(command.c_str());
  Finished finished;
  if (WIFEXITED(status)) finished.exit_code = WEXITSTATUS(status);
  finished.out = text_of(dir / "out");
  finished.err = text_of(dir / "err");
  return finished;
}

inline Finished thimble(const std::string& arguments) { return shell("$thimble " + arguments); }

}  // namespace thimble::cli_test
