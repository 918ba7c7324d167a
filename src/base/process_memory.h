#pragma once

#include <cstdint>

namespace thimble {

// Resident bytes of this process now (VmRSS) and at most so far (VmHWM), from the kernel's books.
// 0 where the system does not tell.
int64_t resident_bytes();
int64_t peak_resident_bytes();

// One heap for all threads: each further one would take pages that no plan knows. For programs to
// call when they start.
void share_one_heap();

// Lets go of the pages of code and constants, the program's and its libraries': those that are
// needed again come back from the page cache, those that only planning ran do not.
void release_code_pages();

// Gives free heap pages back to the system, so that what is resident is what is used.
void release_free_heap();

// Both: for the border between two phases, whose code and heap differ. Costs a few page faults.
void release_what_is_done();

}  // namespace thimble
