#include "api/run_options.h"

namespace thimble {

TrainOptions options_of_run(const RunFolder& folder, const TrainOptions& call) {
  TrainOptions run = folder.read_options();
  run.data.skip_bad = run.data.skip_bad || call.data.skip_bad;
  run.budget_bytes = call.budget_bytes;
  if (call.threads > 0) run.threads = call.threads;
  run.backend = call.backend;
  if (call.data.decode_bytes != DataChoice{}.decode_bytes) {
    run.data.decode_bytes = call.data.decode_bytes;
  }
  return run;
}

}  // namespace thimble
