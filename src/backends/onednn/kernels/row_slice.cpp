#include <algorithm>

#include "backends/onednn/onednn.h"
#include "backends/onednn/vector/vector.h"
#include "base/parallel.h"
#include "ops/core/sums.h"

// Bands of rows, in the graph's own layout: in channel blocks and channels last too, the rows of a
// band of one image (and block) follow each other in memory.

namespace thimble::onednn {
namespace {

// Floats: `outer` maps, `whole` in each of the whole, `band` in each of the band, `begin` before
// it.
struct Bands {
  int64_t outer = 0;
  int64_t whole = 0;
  int64_t band = 0;
  int64_t begin = 0;
};

class RowSliceKernel : public Kernel {
 public:
  explicit RowSliceKernel(const Bands& bands) : bands_(bands) {}
  std::unique_ptr<BoundKernel> bind(const KernelBuffers& buffers) const override {
    const auto* src = static_cast<const float*>(buffers.inputs[0]);
    auto* dst = static_cast<float*>(buffers.outputs[0]);
    return bound([b = bands_, src, dst] {
      parallel_for(b.outer, grain_of(b.band), [&](int64_t first, int64_t last) {
        for (int64_t o = first; o < last; ++o) {
          std::copy_n(src + o * b.whole + b.begin, b.band, dst + o * b.band);
        }
      });
    });
  }

 private:
  Bands bands_;
};

class AddRowsKernel : public Kernel {
 public:
  explicit AddRowsKernel(const Bands& bands) : bands_(bands) {}
  std::unique_ptr<BoundKernel> bind(const KernelBuffers& buffers) const override {
    const auto* sum = static_cast<const float*>(buffers.inputs[0]);
    const auto* rows = static_cast<const float*>(buffers.inputs[1]);
    auto* dst = static_cast<float*>(buffers.outputs[0]);
    return bound([b = bands_, sum, rows, dst] {
      parallel_for(b.outer, grain_of(b.whole), [&](int64_t first, int64_t last) {
        for (int64_t o = first; o < last; ++o) {
          float* out = dst + o * b.whole;
          if (sum == nullptr) {
            std::fill_n(out, b.whole, 0.0f);
          } else if (sum != dst) {
            std::copy_n(sum + o * b.whole, b.whole, out);
          }
          vector::kernels().f32.add(out + b.begin, rows + o * b.band, out + b.begin, b.band);
        }
      });
    });
  }

 private:
  Bands bands_;
};

// The layout of `whole` and of `band`: the graph's, or plain for what is plain already.
struct Pair {
  Layout whole, band;
};
std::optional<Pair> layouts_for(const Context& c, const Shape& whole, const Shape& band,
                                const Layout& current) {
  if (current.tag == kPlain) return Pair{plain_layout(whole), plain_layout(band)};
  const Pair both{c.formats.map_layout(whole), c.formats.map_layout(band)};
  if (both.whole.tag != both.band.tag) return std::nullopt;  // one of them is a single pixel
  return both;
}

Bands bands_of(const Shape& whole, const Shape& band, const Pair& layouts, int64_t begin) {
  const bool last = layouts.whole.tag == "nhwc";
  const bool plain = layouts.whole.tag == kPlain;
  const int64_t lanes = vector::lanes();
  Bands b;
  b.outer = whole[0] * (last ? 1 : plain ? whole[1] : (whole[1] + lanes - 1) / lanes);
  b.whole = layouts.whole.elements / b.outer;
  b.band = layouts.band.elements / b.outer;
  b.begin = b.whole / whole[2] * begin;
  ensure(b.band * whole[2] == b.whole * band[2], "rows of ", band, " do not follow each other");
  return b;
}

std::optional<KernelChoice> choose_slice(const Context& c) {
  if (c.in_type(0) != ElementType::f32) return std::nullopt;
  const auto layouts = layouts_for(c, c.in(0), c.out(0), c.layout(0));
  if (!layouts) return std::nullopt;
  KernelChoice choice = plain_choice(c);
  choice.inputs[0] = layouts->whole;
  choice.outputs[0] = layouts->band;
  choice.implementation = "rows";
  choice.kernel = std::make_shared<RowSliceKernel>(
      bands_of(c.in(0), c.out(0), *layouts, c.node.attributes.integer("begin")));
  return choice;
}

std::optional<KernelChoice> choose_add(const Context& c) {
  if (c.in_type(1) != ElementType::f32) return std::nullopt;
  const Layout& current = c.has(0) ? c.layout(0) : c.layout(1);
  const auto layouts = layouts_for(c, c.out(0), c.in(1), current);
  if (!layouts) return std::nullopt;
  KernelChoice choice = plain_choice(c);
  if (c.has(0)) choice.inputs[0] = layouts->whole;
  choice.inputs[1] = layouts->band;
  choice.outputs[0] = layouts->whole;
  choice.implementation = vector::kernels().name;
  choice.kernel = std::make_shared<AddRowsKernel>(
      bands_of(c.out(0), c.in(1), *layouts, c.node.attributes.integer("begin")));
  return choice;
}

}  // namespace

void define_fast_row_slice(Choosers& choosers) {
  choosers["row_slice"] = choose_slice;
  choosers["add_rows"] = choose_add;
}

}  // namespace thimble::onednn
