#pragma once

#include <cstdint>

#ifdef _OPENMP
#include <omp.h>
#endif

namespace thimble {

// The number of threads that kernels use. Results depend on it (order of sums), not on timing.
int thread_count();
void set_thread_count(int threads);

// Calls `body(begin, end)` on at most `thread_count()` threads over a fixed partition of
// [0, count). Pieces hold at least `grain` items, so small loops stay on one thread. Never
// allocates.
template <class Body>
void parallel_for(int64_t count, int64_t grain, const Body& body) {
  int64_t pieces = (count + grain - 1) / (grain > 0 ? grain : 1);
  if (pieces > thread_count()) pieces = thread_count();
  if (pieces <= 1) {
    if (count > 0) body(int64_t{0}, count);
    return;
  }
#ifdef _OPENMP
#pragma omp parallel for schedule(static, 1) num_threads(static_cast <int>(pieces))
#endif
  for (int64_t p = 0; p < pieces; ++p) {
    body(count * p / pieces, count * (p + 1) / pieces);
  }
}

}  // namespace thimble
