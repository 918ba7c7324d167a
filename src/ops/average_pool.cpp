#include <algorithm>

#include "ops/core/gradient.h"
#include "ops/core/pooling.h"

// Letters as in pooling.h.

namespace thimble {
namespace {

// What a window's sum is divided by: its places inside the padded image, or those inside the image.
struct Divisor {
  const PoolGeometry& g;
  bool include_pad;

  Divisor(const PoolGeometry& geometry, const Attributes& a)
      : g(geometry), include_pad(a.integer("count_include_pad") != 0) {}

  int64_t rows(int64_t y) const {
    if (!include_pad) return g.last_row(y) - g.first_row(y);
    return std::min(g.r, g.h + g.bottom - g.row(y, 0));
  }
  int64_t columns(int64_t x) const {
    if (!include_pad) return g.last_column(x) - g.first_column(x);
    return std::min(g.s, g.w + g.right - g.column(x, 0));
  }
};

struct Forward {
  template <class T>
  static void run(const OpCall& call) {
    const PoolGeometry g(call.attributes, call.in_shape(0), call.out_shape(0));
    const Divisor divisor(g, call.attributes);
    const T* src = call.in<T>(0);
    T* dst = call.out<T>(0);
    parallel_for(g.planes, g.grain(), [&](int64_t begin, int64_t end) {
      for (int64_t plane = begin; plane < end; ++plane) {
        for (int64_t y = 0; y < g.p; ++y) {
          T* out = dst + (plane * g.p + y) * g.q;
          sum_line(g, src + plane * g.h * g.w, y, out);
          const int64_t rows = divisor.rows(y);
          for (int64_t x = 0; x < g.q; ++x) {
            out[x] /= T(static_cast<double>(rows * divisor.columns(x)));
          }
        }
      }
    });
  }

  template <class T>
  static void sum_line(const PoolGeometry& g, const T* in, int64_t y, T* out) {
    std::fill(out, out + g.q, T(0));
    for (int64_t kr = g.first_row(y); kr < g.last_row(y); ++kr) {
      for (int64_t ks = 0; ks < g.s; ++ks) {
        const T* line = in + g.row(y, kr) * g.w + g.column(0, ks);
        for (int64_t x = g.first_output(ks), last = g.last_output(ks); x < last; ++x) {
          out[x] += line[x * g.stride_w];
        }
      }
    }
  }
};

struct Backward {
  template <class T>
  static void run(const OpCall& call) {
    const PoolGeometry g(call.attributes, call.out_shape(0), call.in_shape(0));
    const Divisor divisor(g, call.attributes);
    const T* diff_dst = call.in<T>(0);
    T* diff_src = call.out<T>(0);
    parallel_for(g.planes, g.grain(), [&](int64_t begin, int64_t end) {
      for (int64_t plane = begin; plane < end; ++plane) {
        T* out = diff_src + plane * g.h * g.w;
        std::fill(out, out + g.h * g.w, T(0));
        for (int64_t y = 0; y < g.p; ++y) {
          spread_line(g, divisor, diff_dst + (plane * g.p + y) * g.q, y, out);
        }
      }
    });
  }

  template <class T>
  static void spread_line(const PoolGeometry& g, const Divisor& divisor, const T* diff_dst,
                          int64_t y, T* out) {
    const int64_t rows = divisor.rows(y);
    for (int64_t x = 0; x < g.q; ++x) {
      const T share = diff_dst[x] / T(static_cast<double>(rows * divisor.columns(x)));
      const int64_t first = g.first_column(x);
      const int64_t last = g.last_column(x);
      for (int64_t kr = g.first_row(y); kr < g.last_row(y); ++kr) {
        T* line = out + g.row(y, kr) * g.w + g.column(x, 0);
        for (int64_t ks = first; ks < last; ++ks) line[ks] += share;
      }
    }
  }
};

void add_count_include_pad(std::vector<AttributeSpec>& specs) {
  specs.push_back({"count_include_pad", int64_t{1}, "0: divide by the pixels inside the image"});
}

}  // namespace

void define_average_pool(OpTable& table) {
  OpDef forward;
  forward.name = "average_pool";
  forward.summary = "the mean of each window of an image";
  forward.attributes = pool_attributes();
  add_count_include_pad(forward.attributes);
  forward.inputs = {{"src"}};
  forward.outputs = {{"dst"}};
  forward.infer = [](const OpShapes& s) {
    return std::vector<TensorSpec>{{pooled_shape("average_pool", s.attributes, s.inputs[0])}};
  };
  forward.gradient = [](GradientBuilder& g) {
    g.set_diff_input(0, g.emit("average_pool_backward", {g.diff_output()},
                               with_image(g.attributes(), g.input_shape(0)))[0]);
  };
  forward.spatial = pool_spatial;
  forward.flops = [](const OpShapes& s) {
    return pool_flops(s.attributes, pooled_shape("average_pool", s.attributes, s.inputs[0]));
  };
  forward.kernels = portable_kernels<Forward>();
  table.add(forward);

  OpDef backward;
  backward.name = "average_pool_backward";
  backward.summary = "gradient of average_pool: spreads each value over its window";
  backward.attributes = pool_backward_attributes();
  add_count_include_pad(backward.attributes);
  backward.inputs = {{"diff_dst"}};
  backward.outputs = {{"diff_src"}};
  backward.infer = [](const OpShapes& s) {
    return std::vector<TensorSpec>{
        {unpooled_shape("average_pool_backward", s.attributes, s.inputs[0])}};
  };
  backward.flops = [](const OpShapes& s) { return pool_flops(s.attributes, s.inputs[0]); };
  backward.kernels = portable_kernels<Backward>();
  table.add(backward);
}

}  // namespace thimble
