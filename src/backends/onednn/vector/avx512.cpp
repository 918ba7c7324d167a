#ifdef __x86_64__

#include "backends/onednn/vector/vector.h"

namespace thimble::vector {
namespace avx512 {
namespace {
constexpr int kLanes = 16;
#include "backends/onednn/vector/kernels.inc"
}  // namespace

extern const Kernels kTable;
const Kernels kTable = {"vector:avx512",
                        kActivationKernels<float>,
                        kActivationKernels<Bf16>,
                        sgd_momentum,
                        group_range,
                        encode_codes,
                        decode_codes,
                        small_sgd,
                        small_adam};
}  // namespace avx512
}  // namespace thimble::vector

#endif
