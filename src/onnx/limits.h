#pragma once

#include <cstdint>

namespace thimble {

// Memory that this process may map from now on, beside what it has: files that claim to be large
// end in std::bad_alloc, not in a machine without memory.
void limit_memory(int64_t more_bytes);

}  // namespace thimble
