#pragma once

#include <cstdint>

namespace thimble {

// What the heap was asked for while counting. Every malloc, calloc, realloc, aligned allocation and
// operator new of every thread of this program counts.
struct Allocations {
  int64_t own = 0;                // calls
  int64_t in_onednn = 0;          // calls made by oneDNN, or by what it called
  int64_t onednn_live_bytes = 0;  // of these, not given back
  int64_t onednn_peak_bytes = 0;
};

// False under sanitizers, which need the heap for themselves.
bool can_count_allocations();

// Counts between these two. Not to be nested.
void start_counting_allocations();
Allocations stop_counting_allocations();

}  // namespace thimble
