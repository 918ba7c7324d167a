#pragma once

#include <string>

#include "planner/cost_model.h"

namespace thimble {

// A machine that is not this one, from a JSON file: {"gflops": 20, "gb_per_s": 4, "kernel_us": 10}.
// `gflops`: of a dense convolution in float32, all threads; `gb_per_s`: of memory, read and
// written; `kernel_us`: microseconds to start one kernel, 5 when absent; `storage_mb_per_s`: of
// the device that --offload writes to and reads from, a usual one when absent. UserError says what
// the file lacks.
Machine read_device(const std::string& file);

}  // namespace thimble
