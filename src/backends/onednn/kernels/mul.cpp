#include <algorithm>

#include "backends/onednn/normalisation.h"
#include "backends/onednn/onednn.h"
#include "base/parallel.h"
#include "ops/core/sums.h"

// Products on maps as the graph keeps them. Factors for each plane are plain: (N, C).

namespace thimble::onednn {
namespace {

// Element by element, in whatever layout both have.
class SameKernel : public Kernel {
 public:
  explicit SameKernel(int64_t count) : count_(count) {}
  std::unique_ptr<BoundKernel> bind(const KernelBuffers& b) const override {
    const auto* x = static_cast<const float*>(b.inputs[0]);
    const auto* y = static_cast<const float*>(b.inputs[1]);
    auto* dst = static_cast<float*>(b.outputs[0]);
    return bound([x, y, dst, count = count_] {
      parallel_for(count, kParallelGrain, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) dst[i] = x[i] * y[i];
      });
    });
  }

 private:
  int64_t count_;
};

constexpr int64_t kWidest = vector::kMaxLanes;

// Lines of one block at all pixels of an image: factors by lane, zero where there is no channel.
struct Lines {
  int64_t offset = 0;  // of the first one
  int64_t used = 0;    // lanes with a channel
  int64_t width = 0;   // lanes in memory
  int64_t first = 0;   // of the block's channels, among (N, C)
};
Lines lines_of(const vector::View& v, int64_t item) {
  const int64_t n = item / v.blocks, block = item % v.blocks;
  const int64_t lanes = vector::lanes();
  const int64_t used = std::min<int64_t>(lanes, v.channels - block * lanes);
  return {n * v.image_stride + block * v.block_stride, used, v.padded ? lanes : used,
          n * v.channels + block * lanes};
}

void scale(const vector::View& v, const float* src, const float* factors, float* dst) {
  parallel_for(v.images * v.blocks, grain_of(v.pixels * vector::lanes()),
               [&](int64_t begin, int64_t end) {
                 for (int64_t item = begin; item < end; ++item) {
                   const Lines at = lines_of(v, item);
                   float by[kWidest] = {};
                   std::copy_n(factors + at.first, at.used, by);
                   for (int64_t p = 0; p < v.pixels; ++p) {
                     const float* x = src + at.offset + p * v.pixel_stride;
                     float* y = dst + at.offset + p * v.pixel_stride;
                     for (int64_t i = 0; i < at.width; ++i) y[i] = x[i] * by[i];
                   }
                 }
               });
}

void sum_products(const vector::View& v, const float* src, const float* diff_dst, float* diff) {
  parallel_for(v.images * v.blocks, grain_of(v.pixels * vector::lanes()),
               [&](int64_t begin, int64_t end) {
                 for (int64_t item = begin; item < end; ++item) {
                   const Lines at = lines_of(v, item);
                   float sums[kWidest] = {};
                   for (int64_t p = 0; p < v.pixels; ++p) {
                     const float* x = src + at.offset + p * v.pixel_stride;
                     const float* g = diff_dst + at.offset + p * v.pixel_stride;
                     for (int64_t i = 0; i < at.used; ++i) sums[i] += x[i] * g[i];
                   }
                   std::copy_n(sums, at.used, diff + at.first);
                 }
               });
}

// src and factors to dst; or src and diff_dst to diff_factors.
class PlanesKernel : public Kernel {
 public:
  using Body = void (*)(const vector::View&, const float*, const float*, float*);
  PlanesKernel(const vector::View& view, Body body) : view_(view), body_(body) {}
  std::unique_ptr<BoundKernel> bind(const KernelBuffers& b) const override {
    const auto* x = static_cast<const float*>(b.inputs[0]);
    const auto* y = static_cast<const float*>(b.inputs[1]);
    auto* dst = static_cast<float*>(b.outputs[0]);
    return bound([view = view_, body = body_, x, y, dst] { body(view, x, y, dst); });
  }

 private:
  vector::View view_;
  Body body_;
};

bool is_plain(const Context& c) {
  const Layout map = c.formats.map_layout(c.in(0));
  return map.tag == kPlain || c.layout(0).tag == kPlain;
}

std::optional<KernelChoice> choose_same(const Context& c) {
  KernelChoice choice = plain_choice(c);
  const Layout layout = c.layout(0).decided() ? c.layout(0) : c.layout(1);
  if (layout.decided()) choice = {nullptr, {layout, layout}, {layout}, 0, ""};
  choice.implementation = vector::kernels().name;
  choice.kernel = std::make_shared<SameKernel>(choice.outputs[0].elements);
  return choice;
}

std::optional<KernelChoice> choose_mul(const Context& c) {
  if (c.in_type(0) != ElementType::f32 || c.in_type(1) != ElementType::f32) return std::nullopt;
  if (c.in(0) == c.in(1)) return choose_same(c);
  if (is_plain(c)) return std::nullopt;
  KernelChoice choice = plain_choice(c);
  choice.inputs[0] = choice.outputs[0] = c.formats.map_layout(c.in(0));
  choice.implementation = vector::kernels().name;
  choice.kernel = std::make_shared<PlanesKernel>(view_of(c, c.in(0)), scale);
  return choice;
}

std::optional<KernelChoice> choose_factors(const Context& c) {
  if (c.in_type(0) != ElementType::f32 || c.in_type(1) != ElementType::f32 || is_plain(c)) {
    return std::nullopt;
  }
  KernelChoice choice = plain_choice(c);
  choice.inputs[0] = choice.inputs[1] = c.formats.map_layout(c.in(0));
  choice.implementation = vector::kernels().name;
  choice.kernel = std::make_shared<PlanesKernel>(view_of(c, c.in(0)), sum_products);
  return choice;
}

}  // namespace

void define_fast_mul(Choosers& choosers) {
  choosers["mul"] = choose_mul;
  choosers["mul_backward_factors"] = choose_factors;
}

}  // namespace thimble::onednn
