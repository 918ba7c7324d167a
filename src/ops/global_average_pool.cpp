#include <algorithm>

#include "ops/core/builder.h"
#include "ops/core/gradient.h"
#include "ops/core/sums.h"
#include "ops/core/text.h"

// src (N, C, H, W), dst (N, C, 1, 1).

namespace thimble {
namespace {

struct Forward {
  template <class T>
  static void run(const OpCall& call) {
    const T* src = call.in<T>(0);
    T* dst = call.out<T>(0);
    const int64_t pixels = call.in_shape(0)[2] * call.in_shape(0)[3];
    parallel_for(call.out_shape(0).elements(), grain_of(pixels), [&](int64_t begin, int64_t end) {
      for (int64_t plane = begin; plane < end; ++plane) {
        dst[plane] = sum(src + plane * pixels, pixels) / T(static_cast<double>(pixels));
      }
    });
  }
};

struct Backward {
  template <class T>
  static void run(const OpCall& call) {
    const T* diff_dst = call.in<T>(0);
    T* diff_src = call.out<T>(0);
    const int64_t pixels = call.out_shape(0)[2] * call.out_shape(0)[3];
    parallel_for(call.in_shape(0).elements(), grain_of(pixels), [&](int64_t begin, int64_t end) {
      for (int64_t plane = begin; plane < end; ++plane) {
        const T share = diff_dst[plane] / T(static_cast<double>(pixels));
        std::fill(diff_src + plane * pixels, diff_src + (plane + 1) * pixels, share);
      }
    });
  }
};

}  // namespace

void define_global_average_pool(OpTable& table) {
  OpDef forward;
  forward.name = "global_average_pool";
  forward.summary = "the mean of each channel of an image";
  forward.inputs = {{"src"}};
  forward.outputs = {{"dst"}};
  forward.infer = [](const OpShapes& s) {
    require(s.inputs[0].rank() == 4, "global_average_pool: src must be (N, C, H, W), got ",
            s.inputs[0]);
    return std::vector<TensorSpec>{{{s.inputs[0][0], s.inputs[0][1], 1, 1}}};
  };
  forward.gradient = [](GradientBuilder& g) {
    const Shape& src = g.input_shape(0);
    g.set_diff_input(0, g.emit("global_average_pool_backward", {g.diff_output()},
                               {{"image", ints({src[2], src[3]})}})[0]);
  };
  forward.spatial = [](const Attributes&) {
    return Spatial{Spatial::Kind::global, {}, {}, {}, {}};
  };
  forward.flops = [](const OpShapes& s) { return s.inputs[0].elements(); };
  forward.kernels = portable_kernels<Forward>();
  table.add(forward);

  OpDef backward;
  backward.name = "global_average_pool_backward";
  backward.summary = "gradient of global_average_pool: spreads each value over its channel";
  backward.attributes = {{"image", both(0), "height and width of src"}};
  backward.inputs = {{"diff_dst"}};
  backward.outputs = {{"diff_src"}};
  backward.infer = [](const OpShapes& s) {
    const auto& image = s.attributes.integers("image");
    const Shape& diff = s.inputs[0];
    require(diff.rank() == 4 && diff[2] == 1 && diff[3] == 1,
            "global_average_pool_backward: diff_dst must be (N, C, 1, 1), got ", diff);
    require(image.size() == 2 && std::min(image[0], image[1]) > 0,
            "global_average_pool_backward: image must be two positive sizes, got ", text_of(image));
    return std::vector<TensorSpec>{{{diff[0], diff[1], image[0], image[1]}}};
  };
  backward.kernels = portable_kernels<Backward>();
  table.add(backward);
}

}  // namespace thimble
