#ifdef __x86_64__

#include "backends/onednn/vector/vector.h"

namespace thimble::vector {
namespace avx512 {
namespace {
constexpr int kLanes = 16;
#include "backends/onednn/vector/kernels.inc"
}  // namespace

extern const Kernels kTable;
const Kernels kTable = table_called("vector:avx512");
}  // namespace avx512
}  // namespace thimble::vector

#endif
