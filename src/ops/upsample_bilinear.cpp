#include <algorithm>
#include <cmath>

#include "ops/core/builder.h"
#include "ops/core/gradient.h"
#include "ops/core/sums.h"
#include "ops/core/text.h"

// src (N, C, H, W), dst (N, C, P, Q): pixels have their middle at half coordinates, as in ONNX's
// half_pixel and PyTorch's align_corners=False. Also makes images smaller.

namespace thimble {
namespace {

// Along one axis: an output pixel is (1 - weight) of input pixel `first` and `weight` of `second`.
struct Taps {
  int64_t first, second;
  double weight;

  Taps(int64_t at, int64_t in, int64_t out) {
    const double scale = static_cast<double>(in) / static_cast<double>(out);
    const double middle = std::max(0.0, (static_cast<double>(at) + 0.5) * scale - 0.5);
    first = std::min(static_cast<int64_t>(middle), in - 1);
    second = std::min(first + 1, in - 1);
    weight = middle - static_cast<double>(first);
  }
};

// Calls body(large pixel, small pixel, share) for all that a pixel of the large plane is made of.
template <class Body>
void each_share(const Shape& small, const Shape& large, const Body& body) {
  for (int64_t y = 0; y < large[2]; ++y) {
    const Taps rows(y, small[2], large[2]);
    for (int64_t x = 0; x < large[3]; ++x) {
      const Taps columns(x, small[3], large[3]);
      const int64_t at = y * large[3] + x;
      const double below = rows.weight, right = columns.weight;
      const int64_t top = rows.first * small[3], bottom = rows.second * small[3];
      body(at, top + columns.first, (1 - below) * (1 - right));
      body(at, top + columns.second, (1 - below) * right);
      body(at, bottom + columns.first, below * (1 - right));
      body(at, bottom + columns.second, below * right);
    }
  }
}

struct Forward {
  template <class T>
  static void run(const OpCall& call) {
    const Shape& in = call.in_shape(0);
    const Shape& out = call.out_shape(0);
    const int64_t pixels = out[2] * out[3];
    parallel_for(in[0] * in[1], grain_of(8 * pixels), [&](int64_t begin, int64_t end) {
      for (int64_t plane = begin; plane < end; ++plane) {
        const T* src = call.in<T>(0) + plane * in[2] * in[3];
        T* dst = call.out<T>(0) + plane * pixels;
        std::fill(dst, dst + pixels, T(0));
        each_share(in, out, [&](int64_t to, int64_t from, double share) {
          dst[to] += T(share) * src[from];
        });
      }
    });
  }
};

struct Backward {
  template <class T>
  static void run(const OpCall& call) {
    const Shape& in = call.out_shape(0);
    const Shape& out = call.in_shape(0);
    const int64_t pixels = in[2] * in[3];
    parallel_for(in[0] * in[1], grain_of(8 * out[2] * out[3]), [&](int64_t begin, int64_t end) {
      for (int64_t plane = begin; plane < end; ++plane) {
        const T* diff_dst = call.in<T>(0) + plane * out[2] * out[3];
        T* diff_src = call.out<T>(0) + plane * pixels;
        std::fill(diff_src, diff_src + pixels, T(0));
        each_share(in, out, [&](int64_t from, int64_t to, double share) {
          diff_src[to] += T(share) * diff_dst[from];
        });
      }
    });
  }
};

// Of images (N, C, ...) and an attribute that has the size of the result.
std::vector<TensorSpec> infer(const char* op, const OpShapes& s, const char* attribute) {
  const auto& size = s.attributes.integers(attribute);
  const Shape& src = s.inputs[0];
  require(src.rank() == 4, op, ": images must be (N, C, H, W), got ", src);
  require(size.size() == 2 && std::min(size[0], size[1]) > 0, op, ": ", attribute,
          " must be two positive sizes, got ", text_of(size));
  return {{{src[0], src[1], size[0], size[1]}}};
}

int64_t flops(const Shape& large) { return 8 * large.elements(); }

}  // namespace

void define_upsample_bilinear(OpTable& table) {
  OpDef forward;
  forward.name = "upsample_bilinear";
  forward.summary = "images brought to another size, linear between the middles of pixels";
  forward.attributes = {{"size", both(0), "height and width of dst"}};
  forward.inputs = {{"src"}};
  forward.outputs = {{"dst"}};
  forward.infer = [](const OpShapes& s) { return infer("upsample_bilinear", s, "size"); };
  forward.gradient = [](GradientBuilder& g) {
    const Shape& src = g.input_shape(0);
    g.set_diff_input(0, g.emit("upsample_bilinear_backward", {g.diff_output()},
                               {{"image", ints({src[2], src[3]})}})[0]);
  };
  forward.flops = [](const OpShapes& s) {
    return flops(infer("upsample_bilinear", s, "size")[0].shape);
  };
  forward.kernels = portable_kernels<Forward>();
  table.add(forward);

  OpDef backward;
  backward.name = "upsample_bilinear_backward";
  backward.summary = "gradient of upsample_bilinear: each pixel's shares of what it was made into";
  backward.attributes = {{"image", both(0), "height and width of src"}};
  backward.inputs = {{"diff_dst"}};
  backward.outputs = {{"diff_src"}};
  backward.infer = [](const OpShapes& s) {
    return infer("upsample_bilinear_backward", s, "image");
  };
  backward.flops = [](const OpShapes& s) { return flops(s.inputs[0]); };
  backward.kernels = portable_kernels<Backward>();
  table.add(backward);
}

}  // namespace thimble
