#include "backends/onednn/vector/vector.h"

namespace thimble::vector {
namespace baseline {
namespace {
constexpr int kLanes = 8;
#include "backends/onednn/vector/kernels.inc"
}  // namespace

extern const Kernels kTable;
const Kernels kTable = table_called("vector:baseline");
}  // namespace baseline
}  // namespace thimble::vector
