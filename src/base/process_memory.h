#pragma once

#include <cstdint>

namespace thimble {

// Resident bytes of this process now (VmRSS) and at most so far (VmHWM), from the kernel's books.
// 0 where the system does not tell.
int64_t resident_bytes();
int64_t peak_resident_bytes();

// Gives free heap pages back to the system, so that what is resident is what is used.
void release_free_heap();

}  // namespace thimble
