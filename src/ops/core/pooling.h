#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "ops/core/builder.h"
#include "ops/core/sums.h"
#include "ops/core/text.h"

// N batch; C channels; H, W image; P, Q pooled image; R, S window.
// src (N, C, H, W), dst (N, C, P, Q).

namespace thimble {

struct PoolGeometry {
  int64_t planes, h, w, p, q, r, s;
  int64_t stride_h, stride_w, top, left, bottom, right;

  PoolGeometry(const Attributes& a, const Shape& src, const Shape& dst)
      : planes(src[0] * src[1]),
        h(src[2]),
        w(src[3]),
        p(dst[2]),
        q(dst[3]),
        r(a.integers("kernel")[0]),
        s(a.integers("kernel")[1]),
        stride_h(a.integers("stride")[0]),
        stride_w(a.integers("stride")[1]),
        top(a.integers("padding")[0]),
        left(a.integers("padding")[1]),
        bottom(a.integers("padding")[2]),
        right(a.integers("padding")[3]) {}

  int64_t grain() const { return grain_of(p * q * r * s); }

  // The input row or column under window row `kr` or column `ks`; may lie in the padding.
  int64_t row(int64_t y, int64_t kr) const { return y * stride_h - top + kr; }
  int64_t column(int64_t x, int64_t ks) const { return x * stride_w - left + ks; }
  // Window rows [first, last) of output row `y` that lie inside the image; columns likewise.
  int64_t first_row(int64_t y) const { return std::max<int64_t>(0, -row(y, 0)); }
  int64_t last_row(int64_t y) const { return std::min(r, h - row(y, 0)); }
  int64_t first_column(int64_t x) const { return std::max<int64_t>(0, -column(x, 0)); }
  int64_t last_column(int64_t x) const { return std::min(s, w - column(x, 0)); }
  // Output columns [first, last) whose input column under window column `ks` is inside the image.
  int64_t first_output(int64_t ks) const {
    return ks >= left ? 0 : std::min(q, (left - ks + stride_w - 1) / stride_w);
  }
  int64_t last_output(int64_t ks) const {
    const int64_t reach = w - 1 + left - ks;
    return reach < 0 ? 0 : std::min(q, reach / stride_w + 1);
  }
};

inline std::vector<AttributeSpec> pool_attributes() {
  return {{"kernel", both(2), "height and width of the window"},
          {"stride", both(2), "height and width"},
          {"padding", ints({0, 0, 0, 0}), "top, left, bottom, right"},
          {"ceil_mode", int64_t{0}, "1: a last window may reach over the padded image's edge"}};
}

// Windows along one axis. A last one that reaches over the edge begins in the image or before it,
// as in PyTorch and ONNX.
inline int64_t windows(bool ceil, int64_t in, int64_t before, int64_t after, int64_t kernel,
                       int64_t stride) {
  const int64_t left = in + before + after - kernel;
  if (!ceil) return left / stride + 1;
  const int64_t last = (left + stride - 1) / stride;
  return last * stride < in + before ? last + 1 : last;
}

inline std::vector<AttributeSpec> pool_backward_attributes() {
  std::vector<AttributeSpec> specs = pool_attributes();
  specs.push_back({"image", both(0), "height and width of src"});
  return specs;
}

// The pooled images' shape. Every window holds at least one pixel of the image.
inline Shape pooled_shape(const std::string& op, const Attributes& a, const Shape& src) {
  const auto& kernel = a.integers("kernel");
  const auto& stride = a.integers("stride");
  const auto& pad = a.integers("padding");
  require(src.rank() == 4, op, ": src must be (N, C, H, W), got ", src);
  require(kernel.size() == 2 && stride.size() == 2 && pad.size() == 4, op,
          ": kernel and stride take two values, padding four (top, left, bottom, right), got ",
          text_of(kernel), ", ", text_of(stride), " and ", text_of(pad));
  require(std::min({kernel[0], kernel[1], stride[0], stride[1]}) > 0, op,
          ": kernel and stride must be positive, got ", text_of(kernel), " and ", text_of(stride));
  require(*std::min_element(pad.begin(), pad.end()) >= 0 && std::max(pad[0], pad[2]) < kernel[0] &&
              std::max(pad[1], pad[3]) < kernel[1],
          op, ": padding ", text_of(pad), " must be smaller than the kernel ", text_of(kernel),
          " and not negative");
  const int64_t h = src[2] + pad[0] + pad[2];
  const int64_t w = src[3] + pad[1] + pad[3];
  require(h >= kernel[0] && w >= kernel[1], op, ": the kernel ", text_of(kernel),
          " is larger than the padded image (", h, ", ", w, ")");
  const bool ceil = a.integer("ceil_mode") != 0;
  return {src[0], src[1], windows(ceil, src[2], pad[0], pad[2], kernel[0], stride[0]),
          windows(ceil, src[3], pad[1], pad[3], kernel[1], stride[1])};
}

// The shape of src, from a backward node's diff_dst and the attribute `image`.
inline Shape unpooled_shape(const std::string& op, const Attributes& a, const Shape& diff_dst) {
  const auto& image = a.integers("image");
  require(diff_dst.rank() == 4 && image.size() == 2, op,
          ": diff_dst must be (N, C, P, Q) and image two sizes, got ", diff_dst, " and ",
          text_of(image));
  const Shape src = {diff_dst[0], diff_dst[1], image[0], image[1]};
  const Shape dst = pooled_shape(op, a, src);
  require(diff_dst == dst, op, ": src ", src, " needs diff_dst ", dst, ", got ", diff_dst);
  return src;
}

inline Attributes with_image(Attributes a, const Shape& src) {
  a.set("image", ints({src[2], src[3]}));
  return a;
}

inline Spatial pool_spatial(const Attributes& a) {
  if (a.integer("ceil_mode") != 0) return {};  // rows alone do not say where windows end
  return {Spatial::Kind::window,
          a.integers("kernel"),
          a.integers("stride"),
          a.integers("padding"),
          {1, 1}};
}

// One operation for each pixel of each window.
inline int64_t pool_flops(const Attributes& a, const Shape& dst) {
  return dst.elements() * a.integers("kernel")[0] * a.integers("kernel")[1];
}

}  // namespace thimble
