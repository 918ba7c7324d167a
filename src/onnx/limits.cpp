#include "onnx/limits.h"

#include <sys/resource.h>
#include <unistd.h>

#include <fstream>

namespace thimble {
namespace {

int64_t mapped_bytes() {
  std::ifstream in("/proc/self/statm");
  int64_t pages = 0;
  in >> pages;
  return pages * sysconf(_SC_PAGESIZE);
}

}  // namespace

void limit_memory([[maybe_unused]] int64_t more_bytes) {
#ifndef __SANITIZE_ADDRESS__  // which maps terabytes that it does not use
  rlimit limit = {};
  if (getrlimit(RLIMIT_AS, &limit) != 0) return;
  const auto wanted = static_cast<rlim_t>(mapped_bytes() + more_bytes);
  if (limit.rlim_max != RLIM_INFINITY && limit.rlim_max < wanted) return;
  limit.rlim_cur = wanted;
  setrlimit(RLIMIT_AS, &limit);
#endif
}

}  // namespace thimble
