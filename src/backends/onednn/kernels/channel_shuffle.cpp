#include "backends/onednn/normalisation.h"
#include "backends/onednn/onednn.h"
#include "base/parallel.h"
#include "ops/core/sums.h"

// Channels shuffled (ops/channel_shuffle.cpp) in maps as the graph keeps them.

namespace thimble::onednn {
namespace {

// Where channel `c` is in a map, from its image's first pixel.
int64_t place(const vector::View& v, int64_t c) {
  return c / vector::lanes() * v.block_stride + c % vector::lanes();
}

void shuffle(const vector::View& v, const std::vector<int64_t>& from, const float* src,
             float* dst) {
  const int64_t lanes = vector::lanes();
  parallel_for(v.images * v.blocks, grain_of(v.pixels * lanes), [&](int64_t begin, int64_t end) {
    for (int64_t item = begin; item < end; ++item) {
      const int64_t image = item / v.blocks * v.image_stride;
      const int64_t first = item % v.blocks * lanes;
      const int64_t used = std::min<int64_t>(lanes, v.channels - first);
      const int64_t* source = from.data() + first;
      for (int64_t p = 0; p < v.pixels; ++p) {
        const float* in = src + image + p * v.pixel_stride;
        float* out = dst + image + place(v, first) + p * v.pixel_stride;
        for (int64_t i = 0; i < used; ++i) out[i] = in[source[i]];
        for (int64_t i = used; v.padded && i < lanes; ++i) out[i] = 0;
      }
    }
  });
}

class ShuffleKernel : public Kernel {
 public:
  ShuffleKernel(const vector::View& view, int64_t groups) : view_(view) {
    const int64_t width = view.channels / groups;
    for (int64_t k = 0; k < view.channels; ++k) {
      from_.push_back(place(view, k % groups * width + k / groups));
    }
  }
  std::unique_ptr<BoundKernel> bind(const KernelBuffers& b) const override {
    return bound([this, src = static_cast<const float*>(b.inputs[0]),
                  dst = static_cast<float*>(b.outputs[0])] { shuffle(view_, from_, src, dst); });
  }

 private:
  vector::View view_;
  std::vector<int64_t> from_;  // by channel
};

std::optional<KernelChoice> choose(const Context& c) {
  const Layout layout = c.formats.map_layout(c.in(0));
  if (c.in_type(0) != ElementType::f32 || c.layout(0).tag == kPlain || layout.tag == kPlain) {
    return std::nullopt;
  }
  KernelChoice choice = plain_choice(c);
  choice.inputs[0] = choice.outputs[0] = layout;
  choice.implementation = "lines";
  choice.kernel =
      std::make_shared<ShuffleKernel>(view_of(c, c.in(0)), c.node.attributes.integer("groups"));
  return choice;
}

}  // namespace

void define_fast_channel_shuffle(Choosers& choosers) { choosers["channel_shuffle"] = choose; }

}  // namespace thimble::onednn
