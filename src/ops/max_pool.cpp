#include <algorithm>
#include <limits>

#include "ops/core/gradient.h"
#include "ops/core/pooling.h"

// Letters as in pooling.h. indices (N, C, P, Q): the maximum's place in its window, row by row.

namespace thimble {
namespace {

struct Forward {
  template <class T>
  static void run(const OpCall& call) {
    const PoolGeometry g(call.attributes, call.in_shape(0), call.out_shape(0));
    const T* src = call.in<T>(0);
    T* dst = call.out<T>(0);
    uint8_t* indices = call.out<uint8_t>(1);
    parallel_for(g.planes, g.grain(), [&](int64_t begin, int64_t end) {
      for (int64_t plane = begin; plane < end; ++plane) {
        for (int64_t y = 0; y < g.p; ++y) {
          const int64_t line = (plane * g.p + y) * g.q;
          pool_line(g, src + plane * g.h * g.w, y, dst + line,
                    indices != nullptr ? indices + line : nullptr);
        }
      }
    });
  }

  template <class T>
  static void pool_line(const PoolGeometry& g, const T* in, int64_t y, T* out, uint8_t* index) {
    std::fill(out, out + g.q, T(-std::numeric_limits<double>::infinity()));
    for (int64_t x = 0; index != nullptr && x < g.q; ++x) {
      index[x] = static_cast<uint8_t>(g.first_row(y) * g.s + g.first_column(x));
    }
    for (int64_t kr = g.first_row(y); kr < g.last_row(y); ++kr) {
      for (int64_t ks = 0; ks < g.s; ++ks) {
        const T* line = in + g.row(y, kr) * g.w + g.column(0, ks);
        const auto place = static_cast<uint8_t>(kr * g.s + ks);
        for (int64_t x = g.first_output(ks), last = g.last_output(ks); x < last; ++x) {
          const T value = line[x * g.stride_w];
          // NaN wins and stays, so that it is seen.
          const bool take = branch_value(value) > branch_value(out[x]) || value != value;
          out[x] = take ? value : out[x];
          if (index != nullptr) index[x] = take ? place : index[x];
        }
      }
    }
  }
};

struct Backward {
  template <class T>
  static void run(const OpCall& call) {
    const PoolGeometry g(call.attributes, call.out_shape(0), call.in_shape(0));
    const T* diff_dst = call.in<T>(0);
    const uint8_t* indices = call.in<uint8_t>(1);
    T* diff_src = call.out<T>(0);
    parallel_for(g.planes, g.grain(), [&](int64_t begin, int64_t end) {
      for (int64_t plane = begin; plane < end; ++plane) {
        T* out = diff_src + plane * g.h * g.w;
        std::fill(out, out + g.h * g.w, T(0));
        for (int64_t y = 0; y < g.p; ++y) {
          for (int64_t x = 0; x < g.q; ++x) {
            const int64_t i = (plane * g.p + y) * g.q + x;
            const int64_t row = g.row(y, indices[i] / g.s);
            const int64_t column = g.column(x, indices[i] % g.s);
            // A backend may point into the padding when a window holds only NaN.
            if (row < 0 || row >= g.h || column < 0 || column >= g.w) continue;
            out[row * g.w + column] += diff_dst[i];
          }
        }
      }
    });
  }
};

std::vector<TensorSpec> infer_forward(const OpShapes& s) {
  const Shape dst = pooled_shape("max_pool", s.attributes, s.inputs[0]);
  const auto& kernel = s.attributes.integers("kernel");
  require(kernel[0] * kernel[1] <= 255, "max_pool: the kernel ", text_of(kernel), " has ",
          kernel[0] * kernel[1], " places; indices of one byte allow 255");
  return {{dst}, {dst, ElementType::u8}};
}

}  // namespace

void define_max_pool(OpTable& table) {
  OpDef forward;
  forward.name = "max_pool";
  forward.summary = "the maximum of each window of an image";
  forward.attributes = pool_attributes();
  forward.inputs = {{"src"}};
  forward.outputs = {{"dst"}, {"indices"}};
  forward.infer = infer_forward;
  forward.gradient = [](GradientBuilder& g) {
    g.set_diff_input(0, g.emit("max_pool_backward", {g.diff_output(), g.output(1)},
                               with_image(g.attributes(), g.input_shape(0)))[0]);
  };
  forward.saves = [](const OpShapes&) { return Saves{{}, {1}}; };
  forward.spatial = pool_spatial;
  forward.flops = [](const OpShapes& s) {
    return pool_flops(s.attributes, infer_forward(s)[0].shape);
  };
  forward.kernels = portable_kernels<Forward>();
  table.add(forward);

  OpDef backward;
  backward.name = "max_pool_backward";
  backward.summary = "gradient of max_pool: sends each value to its window's maximum";
  backward.attributes = pool_backward_attributes();
  backward.inputs = {{"diff_dst"}, {"indices"}};
  backward.outputs = {{"diff_src"}};
  backward.infer = [](const OpShapes& s) {
    require(s.inputs[0] == s.inputs[1], "max_pool_backward: diff_dst ", s.inputs[0],
            " and indices ", s.inputs[1], " must have one shape");
    return std::vector<TensorSpec>{
        {unpooled_shape("max_pool_backward", s.attributes, s.inputs[0])}};
  };
  backward.flops = [](const OpShapes& s) { return s.inputs[0].elements(); };
  backward.kernels = portable_kernels<Backward>();
  table.add(backward);
}

}  // namespace thimble
