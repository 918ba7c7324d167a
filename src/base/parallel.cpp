#include "base/parallel.h"

#include "base/error.h"

namespace thimble {
namespace {
int g_threads = 1;
}

int thread_count() { return g_threads; }

void set_thread_count(int threads) {
  require(threads >= 1 && threads <= 1024, "threads must be between 1 and 1024, got ", threads);
  g_threads = threads;
#ifdef _OPENMP
  omp_set_num_threads(threads);
  omp_set_dynamic(0);
#endif
}

}  // namespace thimble
