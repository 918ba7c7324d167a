#pragma once

#include <functional>
#include <string>
#include <vector>

#include "planner/planner.h"

namespace thimble {

// Bytes that the process takes beside the arena when it runs these programs: what is resident now,
// with their kernels bound, and what will be. One kernel of each kind is run to find out, of those
// that touch at most `most_touched` bytes of the arena at a time: what is beside them is given back
// at once. `warm_up` may be empty. Lets go of free heap pages and of code pages: an effect on the
// whole process, which only costs time.
int64_t measure_fixed_bytes(const std::vector<const Program*>& programs, int64_t arena_bytes,
                            const std::string& backend, int64_t most_touched,
                            const std::function<void()>& warm_up);

}  // namespace thimble
