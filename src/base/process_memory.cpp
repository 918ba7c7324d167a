#include "base/process_memory.h"

#include <fcntl.h>
#include <unistd.h>

#ifdef __linux__
#include <link.h>
#include <sys/mman.h>
#endif

#include <array>
#include <cstdlib>
#include <cstring>

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace thimble {
namespace {

// Reads "<key>:   1234 kB" without touching the heap: asking must not change the answer.
int64_t status_bytes(const char* key) {
  std::array<char, 4096> text;
  const int file = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  const ssize_t size = read(file, text.data(), text.size() - 1);
  close(file);
  if (size <= 0) return 0;
  text[static_cast<size_t>(size)] = '\0';
  const char* line = std::strstr(text.data(), key);
  return line == nullptr ? 0 : std::atoll(line + std::strlen(key)) * 1024;
}

}  // namespace

int64_t resident_bytes() { return status_bytes("VmRSS:"); }
int64_t peak_resident_bytes() { return status_bytes("VmHWM:"); }

void share_one_heap() {
#ifdef __GLIBC__
  mallopt(M_ARENA_MAX, 1);
#endif
}

void release_code_pages() {
#ifdef __linux__
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* data) {
        const uintptr_t size = *static_cast<const uintptr_t*>(data);
        for (int i = 0; i < info->dlpi_phnum; ++i) {
          const auto& segment = info->dlpi_phdr[i];
          // Only what can never have been written: a written private page would be lost.
          if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W) != 0) continue;
          const uintptr_t begin = (info->dlpi_addr + segment.p_vaddr) / size * size;
          const uintptr_t end = info->dlpi_addr + segment.p_vaddr + segment.p_memsz;
          madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
        }
        return 0;
      },
      const_cast<uintptr_t*>(&page));
#endif
}

void release_free_heap() {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

void release_what_is_done() {
  release_free_heap();
  release_code_pages();
}

}  // namespace thimble
