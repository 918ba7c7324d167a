#include "backends/onednn/vector/vector.h"

namespace thimble::vector {
namespace baseline {
namespace {
constexpr int kLanes = 8;
#include "backends/onednn/vector/kernels.inc"
}  // namespace

extern const Kernels kTable;
const Kernels kTable = {"vector:baseline",
                        kActivationKernels<float>,
                        kActivationKernels<Bf16>,
                        sgd_momentum,
                        group_range,
                        encode_codes,
                        decode_codes,
                        small_sgd,
                        small_adam};
}  // namespace baseline
}  // namespace thimble::vector
