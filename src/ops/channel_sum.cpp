#include "ops/core/op.h"
#include "ops/core/sums.h"

// src (N, C, H, W) or (N, C), dst (C).

namespace thimble {
namespace {

struct ChannelSum {
  template <class T>
  static void run(const OpCall& call) {
    const Shape& shape = call.in_shape(0);
    const int64_t n = shape[0], c = shape[1], plane = shape.elements() / (n * c);
    const T* src = call.in<T>(0);
    T* dst = call.out<T>(0);
    parallel_for(c, grain_of(n * plane), [&](int64_t begin, int64_t end) {
      for (int64_t k = begin; k < end; ++k) {
        Accumulator<T> total(0);
        for (int64_t i = 0; i < n; ++i) {
          total += Accumulator<T>(sum(src + (i * c + k) * plane, plane));
        }
        dst[k] = T(total);
      }
    });
  }
};

}  // namespace

void define_channel_sum(OpTable& table) {
  OpDef def;
  def.name = "channel_sum";
  def.summary = "the sum of each channel over batch and pixels: the gradient of a bias alone";
  def.inputs = {{"src"}};
  def.outputs = {{"dst"}};
  def.infer = [](const OpShapes& s) {
    const Shape& src = s.inputs[0];
    require(src.rank() == 4 || src.rank() == 2,
            "channel_sum: src must be (N, C, H, W) or (N, C), got ", src);
    return std::vector<TensorSpec>{{{src[1]}}};
  };
  def.flops = [](const OpShapes& s) { return s.inputs[0].elements(); };
  def.kernels = portable_kernels<ChannelSum>();
  table.add(def);
}

}  // namespace thimble
