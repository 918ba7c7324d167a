#include "support/allocations.h"

#include <execinfo.h>
#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

// Replaces the heap's functions in this program by ones that count and then call glibc's.

namespace thimble {
namespace {

struct Range {
  uintptr_t begin = 0, end = 0;
};

std::atomic<bool> g_counting{false};
std::atomic<int64_t> g_own{0}, g_onednn{0}, g_live{0}, g_peak{0};
Range g_library[16];  // where libdnnl's code lies
int g_ranges = 0;

// Blocks that oneDNN took and still has: only these are subtracted when they are given back.
constexpr size_t kTracked = 4096;
std::atomic<void*> g_blocks[kTracked];

thread_local bool g_inside = false;  // backtrace itself may allocate

bool in_onednn(uintptr_t address) {
  for (int i = 0; i < g_ranges; ++i) {
    if (address >= g_library[i].begin && address < g_library[i].end) return true;
  }
  return false;
}

void find_onednn() {
  g_ranges = 0;
  std::FILE* maps = std::fopen("/proc/self/maps", "r");
  if (maps == nullptr) return;
  char line[1024];
  while (std::fgets(line, sizeof line, maps) != nullptr && g_ranges < 16) {
    unsigned long begin = 0, end = 0;
    if (std::strstr(line, "libdnnl") == nullptr) continue;
    if (std::sscanf(line, "%lx-%lx", &begin, &end) == 2) g_library[g_ranges++] = {begin, end};
  }
  std::fclose(maps);
}

[[maybe_unused]] void count(void* block) {
  if (!g_counting.load(std::memory_order_relaxed) || g_inside || block == nullptr) return;
  g_inside = true;
  void* frames[48];
  const int depth = backtrace(frames, 48);
  const bool theirs = std::any_of(
      frames, frames + depth, [](void* f) { return in_onednn(reinterpret_cast<uintptr_t>(f)); });
  g_inside = false;
  if (!theirs) {
    ++g_own;
    return;
  }
  ++g_onednn;
  const int64_t live = g_live += static_cast<int64_t>(malloc_usable_size(block));
  int64_t peak = g_peak;
  while (live > peak && !g_peak.compare_exchange_weak(peak, live)) {
  }
  for (std::atomic<void*>& place : g_blocks) {
    void* empty = nullptr;
    if (place.compare_exchange_strong(empty, block)) return;
  }
}

[[maybe_unused]] void forget(void* block) {
  if (!g_counting.load(std::memory_order_relaxed) || block == nullptr) return;
  for (std::atomic<void*>& place : g_blocks) {
    void* expected = block;
    if (place.load(std::memory_order_relaxed) != block) continue;
    if (!place.compare_exchange_strong(expected, nullptr)) continue;
    g_live -= static_cast<int64_t>(malloc_usable_size(block));
    return;
  }
}

}  // namespace

bool can_count_allocations() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return false;
#else
  return true;
#endif
}

void start_counting_allocations() {
  find_onednn();
  void* frames[4];
  backtrace(frames, 4);  // loads what it needs
  g_own = g_onednn = g_live = g_peak = 0;
  for (std::atomic<void*>& place : g_blocks) place = nullptr;
  g_counting = true;
}

Allocations stop_counting_allocations() {
  g_counting = false;
  return {g_own, g_onednn, g_live, g_peak};
}

}  // namespace thimble

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
extern "C" {
void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);
void __libc_free(void*);

void* malloc(size_t bytes) noexcept {
  void* p = __libc_malloc(bytes);
  thimble::count(p);
  return p;
}
void* calloc(size_t n, size_t bytes) noexcept {
  void* p = __libc_calloc(n, bytes);
  thimble::count(p);
  return p;
}
void* realloc(void* old, size_t bytes) noexcept {
  thimble::forget(old);
  void* p = __libc_realloc(old, bytes);
  thimble::count(p);
  return p;
}
void* memalign(size_t alignment, size_t bytes) noexcept {
  void* p = __libc_memalign(alignment, bytes);
  thimble::count(p);
  return p;
}
void* aligned_alloc(size_t alignment, size_t bytes) noexcept { return memalign(alignment, bytes); }
int posix_memalign(void** out, size_t alignment, size_t bytes) noexcept {
  *out = memalign(alignment, bytes);
  return *out == nullptr ? ENOMEM : 0;
}
void free(void* p) noexcept {
  thimble::forget(p);
  __libc_free(p);
}
}
#endif
