#include "backends/onednn/vector/vector.h"

namespace thimble::vector {

namespace baseline {
extern const Kernels kTable;
}

#ifdef __x86_64__
namespace avx2 {
extern const Kernels kTable;
}
namespace avx512 {
extern const Kernels kTable;
}
#endif

namespace {

enum class Level : uint8_t { baseline, avx2, avx512 };

Level level() {
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq")) {
    return Level::avx512;
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return Level::avx2;
#endif
  return Level::baseline;
}

const Kernels& table_of(Level chosen) {
#ifdef __x86_64__
  if (chosen == Level::avx512) return avx512::kTable;
  if (chosen == Level::avx2) return avx2::kTable;
#endif
  static_cast<void>(chosen);
  return baseline::kTable;
}

}  // namespace

int lanes() { return level() == Level::avx512 ? 16 : 8; }

const Kernels& kernels() {
  static const Kernels& table = table_of(level());
  return table;
}

}  // namespace thimble::vector
