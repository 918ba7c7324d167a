#pragma once

#include <string>
#include <vector>

#include "cli/exit_code.h"
#include "thimble/thimble.h"

namespace thimble::cli {

// What the command line asked for. A plain value: the parser is gone when `run` is called, so that
// it takes no memory from training.
struct Request {
  TrainOptions options;
  std::string config;  // file that `options` began as; empty: none
  bool json = false;
  bool verbose = false;                // plan: every step
  StackRequest stack;                  // reproduce
  PruneChoice prune;                   // prune
  std::string copy_to;                 // reproduce: folder for the stack's files; empty: run it
  std::string html;                    // plan, frontier, eval: file for a page; empty: none
  std::string points;                  // frontier: file of measured points; empty: none
  std::string what;                    // list: models, data, ops, ...; import, export: of what
  std::string to;                      // import, export: the file that is written
  std::vector<std::string> pictures;   // predict: files
  int64_t top = 5;                     // predict: classes to name
  std::string text;                    // to print: help or version
  std::vector<std::string> arguments;  // as they came, with the program's name
  ExitCode (*run)(const Request& request) = nullptr;
};

// Throws UserError.
Request parse_arguments(int argc, const char* const* argv);

}  // namespace thimble::cli
