#include "base/process_memory.h"
#include "cli/request.h"
#include "cli/streams.h"

namespace {

using namespace thimble;
using namespace thimble::cli;

ExitCode run(int argc, char** argv) {
  const Request request = parse_arguments(argc, argv);
  release_what_is_done();  // the parser's memory is not training's
  return request.run(request);
}

}  // namespace

int main(int argc, char** argv) {
  share_one_heap();
  prepare_streams();
  try {
    return run(argc, argv);
  } catch (const InternalError& error) {
    note(str_cat("thimble: error: ", error.what(),
                 "\nThis is a bug in thimble: please report it.\n"));
    return kFailed;
  } catch (const std::exception& error) {
    note(str_cat("thimble: error: ", error.what(), "\n"));
    return exit_code(error);
  }
}
