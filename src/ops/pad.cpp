#include <algorithm>

#include "ops/core/builder.h"
#include "ops/core/copy.h"
#include "ops/core/gradient.h"
#include "ops/core/text.h"

// src (N, C, H, W), dst (N, C, top + H + bottom, left + W + right).

namespace thimble {
namespace {

struct Pad {
  template <class T>
  static void run(const OpCall& call) {
    const Shape& src_shape = call.in_shape(0);
    const Shape& dst_shape = call.out_shape(0);
    const int64_t h = src_shape[2], w = src_shape[3];
    const int64_t p = dst_shape[2], q = dst_shape[3];
    const int64_t top = call.attributes.integers("padding")[0];
    const int64_t left = call.attributes.integers("padding")[1];
    const T* src = call.in<T>(0);
    T* dst = call.out<T>(0);
    parallel_for(src_shape[0] * src_shape[1] * p, grain_of(q), [&](int64_t begin, int64_t end) {
      for (int64_t line = begin; line < end; ++line) {
        const int64_t row = line % p - top;
        T* out = dst + line * q;
        if (row < 0 || row >= h) {
          std::fill(out, out + q, T(0));
          continue;
        }
        const T* in = src + (line / p * h + row) * w;
        std::fill(out, out + left, T(0));
        std::copy(in, in + w, out + left);
        std::fill(out + left + w, out + q, T(0));
      }
    });
  }
};

struct Crop {
  template <class T>
  static void run(const OpCall& call) {
    const Shape& diff_dst_shape = call.in_shape(0);
    const Shape& diff_src_shape = call.out_shape(0);
    const int64_t p = diff_dst_shape[2], q = diff_dst_shape[3];
    const int64_t h = diff_src_shape[2], w = diff_src_shape[3];
    const int64_t top = call.attributes.integers("padding")[0];
    const int64_t left = call.attributes.integers("padding")[1];
    const T* diff_dst = call.in<T>(0);
    T* diff_src = call.out<T>(0);
    parallel_for(diff_src_shape[0] * diff_src_shape[1] * h, grain_of(w),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t line = begin; line < end; ++line) {
                     const T* in = diff_dst + (line / h * p + line % h + top) * q + left;
                     std::copy(in, in + w, diff_src + line * w);
                   }
                 });
  }
};

// `sign` 1 pads the image, -1 crops it.
std::vector<TensorSpec> infer(const char* op, const OpShapes& s, int64_t sign) {
  const auto& pad = s.attributes.integers("padding");
  const Shape& src = s.inputs[0];
  require(src.rank() == 4, op, ": images must be (N, C, H, W), got ", src);
  require(pad.size() == 4 && *std::min_element(pad.begin(), pad.end()) >= 0, op,
          ": padding takes four sizes (top, left, bottom, right), none negative, got ",
          text_of(pad));
  const Shape dst = {src[0], src[1], src[2] + sign * (pad[0] + pad[2]),
                     src[3] + sign * (pad[1] + pad[3])};
  require(dst[2] > 0 && dst[3] > 0, op, ": nothing is left of ", src, " without padding ",
          text_of(pad));
  return {{dst}};
}

std::vector<AttributeSpec> attribute_specs() {
  return {{"padding", ints({0, 0, 0, 0}), "top, left, bottom, right"}};
}

}  // namespace

void define_pad(OpTable& table) {
  OpDef forward;
  forward.name = "pad";
  forward.summary = "a border of zeros around images";
  forward.attributes = attribute_specs();
  forward.inputs = {{"src"}};
  forward.outputs = {{"dst"}};
  forward.infer = [](const OpShapes& s) { return infer("pad", s, 1); };
  forward.gradient = [](GradientBuilder& g) {
    g.set_diff_input(0, g.emit("pad_backward", {g.diff_output()}, g.attributes())[0]);
  };
  forward.spatial = [](const Attributes& a) {
    return Spatial{Spatial::Kind::window, {1, 1}, {1, 1}, a.integers("padding"), {1, 1}};
  };
  forward.flops = no_flops;
  forward.kernels = portable_kernels<Pad>();
  table.add(forward);

  OpDef backward;
  backward.name = "pad_backward";
  backward.summary = "gradient of pad: crops the border";
  backward.attributes = attribute_specs();
  backward.inputs = {{"diff_dst"}};
  backward.outputs = {{"diff_src"}};
  backward.infer = [](const OpShapes& s) { return infer("pad_backward", s, -1); };
  backward.flops = no_flops;
  backward.kernels = portable_kernels<Crop>();
  table.add(backward);
}

}  // namespace thimble
