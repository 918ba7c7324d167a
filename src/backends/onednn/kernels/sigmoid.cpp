#include <array>

#include "backends/onednn/normalisation.h"
#include "backends/onednn/onednn.h"
#include "base/parallel.h"
#include "ops/core/sums.h"

// Elementwise ops that make something of zero, on maps as the graph keeps them: the op's own
// kernel, then zeros where blocks have no channel.

namespace thimble::onednn {
namespace {

// Unused lanes of the last block.
void clear_padding(const vector::View& v, float* dst) {
  const int64_t used = v.channels - (v.blocks - 1) * vector::lanes();
  if (!v.padded || used == vector::lanes()) return;
  const int64_t last = (v.blocks - 1) * v.block_stride;
  parallel_for(v.images, grain_of(v.pixels), [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      float* line = dst + n * v.image_stride + last;
      for (int64_t p = 0; p < v.pixels; ++p, line += v.pixel_stride) {
        std::fill(line + used, line + vector::lanes(), 0.0f);
      }
    }
  });
}

class MapKernel : public Kernel {
 public:
  MapKernel(const Context& c, int64_t elements)
      : run_(find_op(c.node.op).kernels.f32),
        attributes_(c.node.attributes),
        shape_(c.in(0)),
        view_(view_of(c, c.in(0))),
        elements_(elements) {}

  std::unique_ptr<BoundKernel> bind(const KernelBuffers& buffers) const override {
    return bound([this, src = buffers.inputs[0], dst = buffers.outputs[0]] {
      const std::array inputs = {TensorArg{src, &shape_, ElementType::f32, elements_}};
      const std::array outputs = {TensorArg{dst, &shape_, ElementType::f32, elements_}};
      run_({attributes_, inputs, outputs});
      clear_padding(view_, static_cast<float*>(dst));
    });
  }

 private:
  PortableKernel run_;
  Attributes attributes_;
  Shape shape_;
  vector::View view_;
  int64_t elements_;
};

std::optional<KernelChoice> choose(const Context& c) {
  if (c.in_type(0) != ElementType::f32 || c.in(0).rank() != 4) return std::nullopt;
  const Layout layout = c.formats.map_layout(c.in(0));
  if (c.layout(0).tag == kPlain || layout.tag == kPlain) return std::nullopt;
  KernelChoice choice = plain_choice(c);
  choice.inputs[0] = layout;
  choice.outputs[0] = layout;
  choice.implementation = "portable";
  choice.kernel = std::make_shared<MapKernel>(c, layout.elements);
  return choice;
}

}  // namespace

void define_fast_sigmoid(Choosers& choosers) {
  choosers["sigmoid"] = choose;
  choosers["hard_sigmoid"] = choose;
}

}  // namespace thimble::onednn
