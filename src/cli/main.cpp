#include <algorithm>
#include <string_view>

#include "base/process_memory.h"
#include "cli/request.h"
#include "cli/streams.h"
#include "report/json.h"

namespace {

using namespace thimble;
using namespace thimble::cli;

ExitCode run(int argc, char** argv) {
  const Request request = parse_arguments(argc, argv);
  release_what_is_done();  // the parser's memory is not training's
  return request.run(request);
}

// Arguments that could not be parsed ask for JSON too.
bool asks_for_json(int argc, char** argv) {
  return std::any_of(argv, argv + argc,
                     [](const char* argument) { return std::string_view(argument) == "--json"; });
}

// Who reads JSON finds the error where the answer would be.
void answer_error(const char* message, ExitCode code) {
  try {
    print(error_json(message, code));
  } catch (const std::exception&) {
    // Standard output may be what failed; standard error has the message.
  }
}

}  // namespace

int main(int argc, char** argv) {
  share_one_heap();
  prepare_streams();
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    const bool bug = dynamic_cast<const InternalError*>(&error) != nullptr;
    note(str_cat("thimble: error: ", error.what(),
                 bug ? "\nThis is a bug in thimble: please report it.\n" : "\n"));
    const ExitCode code = exit_code(error);
    if (asks_for_json(argc, argv)) answer_error(error.what(), code);
    return code;
  }
}
