#pragma once

#include "runtime/run_folder.h"
#include "thimble/thimble.h"

namespace thimble {

// The options that a run was trained with, with those of a call that uses its model: budget,
// threads, backend, memory for decoding, whether broken files are skipped.
TrainOptions options_of_run(const RunFolder& folder, const TrainOptions& call);

}  // namespace thimble
