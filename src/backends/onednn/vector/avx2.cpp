#ifdef __x86_64__

#include "backends/onednn/vector/vector.h"

namespace thimble::vector {
namespace avx2 {
namespace {
constexpr int kLanes = 8;
#include "backends/onednn/vector/kernels.inc"
}  // namespace

extern const Kernels kTable;
const Kernels kTable = table_called("vector:avx2");
}  // namespace avx2
}  // namespace thimble::vector

#endif
