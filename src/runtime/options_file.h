#pragma once

#include <string>

#include "thimble/thimble.h"

namespace thimble {

// Options as JSON: run.json of a run folder, and the files that --config reads (`read_options` of
// the public header). Not in it: `run_folder`, `resume` and `device_file`, which belong to a call.

// Throws UserError naming the file when it cannot be written, or what JSON cannot hold.
void write_options(const std::string& path, const TrainOptions& options);

// From the text of such a file; `path` names it in errors.
TrainOptions options_of(const std::string& text, const std::string& path);

// Throws UserError naming the first option that would make the resumed run another run than the
// saved one, with its old and new value. May change: epochs, budget_bytes, offload_folder,
// checkpoint_every, data.skip_bad and data.decode_bytes.
void check_resumable(const TrainOptions& saved, const TrainOptions& now);

}  // namespace thimble
