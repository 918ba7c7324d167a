#include "backends/onednn/normalisation.h"
#include "backends/onednn/onednn.h"
#include "base/parallel.h"
#include "ops/core/sums.h"

// The sums of a normalisation's first pass, of maps as the graph keeps them.

namespace thimble::onednn {
namespace {

void sum_channels(const vector::NormForward<float>& args, float* dst) {
  const vector::View& v = args.view;
  const int64_t lines = v.images * v.pixels;
  parallel_for(v.blocks, grain_of(lines * vector::lanes()), [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      vector::Sums sums = {};
      vector::kernels().f32.norm_sums(args, block, 0, lines, sums);
      const int64_t first = block * vector::lanes();
      const int64_t used = std::min<int64_t>(vector::lanes(), v.channels - first);
      for (int64_t i = 0; i < used; ++i) {
        // They are of what lies above the first value.
        const auto shift = static_cast<double>(args.src[block * v.block_stride + i]);
        dst[first + i] = static_cast<float>(sums.first[i] + static_cast<double>(lines) * shift);
      }
    }
  });
}

class SumKernel : public Kernel {
 public:
  explicit SumKernel(const vector::View& view) { args_.view = view; }
  std::unique_ptr<BoundKernel> bind(const KernelBuffers& b) const override {
    vector::NormForward<float> args = args_;
    args.src = static_cast<const float*>(b.inputs[0]);
    return bound([args, dst = static_cast<float*>(b.outputs[0])] { sum_channels(args, dst); });
  }

 private:
  vector::NormForward<float> args_;  // without addresses
};

std::optional<KernelChoice> choose(const Context& c) {
  if (c.in_type(0) != ElementType::f32 || c.in(0).rank() != 4) return std::nullopt;
  const Layout layout = c.formats.map_layout(c.in(0));
  if (c.layout(0).tag == kPlain || layout.tag == kPlain) return std::nullopt;
  KernelChoice choice = plain_choice(c);
  choice.inputs[0] = layout;
  choice.implementation = vector::kernels().name;
  choice.kernel = std::make_shared<SumKernel>(view_of(c, c.in(0)));
  return choice;
}

}  // namespace

void define_fast_channel_sum(Choosers& choosers) { choosers["channel_sum"] = choose; }

}  // namespace thimble::onednn
