#include <cmath>
#include <concepts>

#include "ops/core/kernel.h"
#include "ops/core/op.h"

// What `thimble prune` ranks channels by.

namespace thimble {
namespace {

struct ChannelNorm {
  template <class T>
  requires std::floating_point<T>
  static void run(const OpCall& call) {
    const Shape src = call.in_shape(0);  // (N, C, H, W)
    const int64_t pixels = src[2] * src[3];
    parallel_for(src[1], 1, [&](int64_t begin, int64_t end) {
      for (int64_t c = begin; c < end; ++c) {
        double norms = 0;
        for (int64_t n = 0; n < src[0]; ++n) {
          const T* plane = call.in<T>(0) + (n * src[1] + c) * pixels;
          double squares = 0;
          for (int64_t i = 0; i < pixels; ++i) {
            squares += static_cast<double>(plane[i]) * static_cast<double>(plane[i]);
          }
          norms += std::sqrt(squares);
        }
        call.out<T>(0)[c] = static_cast<T>(norms / static_cast<double>(src[0]));
      }
    });
  }
};

}  // namespace

void define_channel_norm(OpTable& table) {
  OpDef op;
  op.name = "channel_norm";
  op.summary = "of each channel, the mean over the examples of its pixels' l2 norm";
  op.inputs = {{"src"}};
  op.outputs = {{"norms"}};
  op.infer = [](const OpShapes& s) {
    require(s.inputs[0].rank() == 4, "channel_norm: src must be (N, C, H, W), got ", s.inputs[0]);
    return std::vector<TensorSpec>{{Shape{s.inputs[0][1]}, ElementType::f32}};
  };
  op.flops = [](const OpShapes& s) { return 2 * s.inputs[0].elements(); };
  op.kernels = portable_kernels<ChannelNorm>();
  table.add(op);
}

}  // namespace thimble
