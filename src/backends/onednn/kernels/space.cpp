#include <algorithm>

#include "backends/onednn/onednn.h"
#include "backends/onednn/vector/vector.h"
#include "ops/core/copy.h"

// Maps taken apart into phases and put together again (ops/core/space.h), in the graph's own
// layout: a pixel's values, of a block of channels or of all of them, lie together and move
// together.

namespace thimble::onednn {
namespace {

// Of the phases, in runs of `values` floats: how far one example, phase, block of channels, row and
// pixel lie apart.
struct Strides {
  int64_t example = 0, phase = 0, block = 0, row = 0, pixel = 0;
};

struct Moves {
  int64_t examples = 0, blocks = 0;  // of the whole map
  int64_t height = 0, width = 0;     // of the whole map
  int64_t side = 2;                  // of the squares
  int64_t values = 0;                // that lie together
  Strides phases;

  int64_t floats() const { return blocks * height * width * values; }  // of an example
};

// Examples [0, examples).
void move(const Moves& m, int64_t examples, bool apart, const float* src, float* dst) {
  const int64_t rows = examples * m.blocks * m.height;
  parallel_for(rows, grain_of(m.width * m.values), [&](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r) {
      const int64_t y = r % m.height;
      const int64_t block = r / m.height % m.blocks;
      const int64_t example = r / m.height / m.blocks;
      const int64_t in_whole = r * m.width;
      const int64_t in_phases = example * m.phases.example + y % m.side * m.side * m.phases.phase +
                                block * m.phases.block + y / m.side * m.phases.row;
      for (int64_t x = 0; x < m.width; ++x) {
        const int64_t one = (in_whole + x) * m.values;
        const int64_t other =
            (in_phases + x % m.side * m.phases.phase + x / m.side * m.phases.pixel) * m.values;
        std::copy_n(src + (apart ? one : other), m.values, dst + (apart ? other : one));
      }
    }
  });
}

class SpaceKernel : public Kernel {
 public:
  SpaceKernel(const Moves& moves, bool apart) : moves_(moves), apart_(apart) {}
  std::unique_ptr<BoundKernel> bind(const KernelBuffers& buffers) const override {
    const auto* src = static_cast<const float*>(buffers.inputs[0]);
    auto* dst = static_cast<float*>(buffers.outputs[0]);
    if (src != dst) {
      return bound(
          [m = moves_, apart = apart_, src, dst] { move(m, m.examples, apart, src, dst); });
    }
    auto* before = static_cast<float*>(buffers.scratch);
    return bound([m = moves_, apart = apart_, before, dst] {
      const int64_t example = m.floats();
      for (int64_t n = 0; n < m.examples; ++n) {
        copy_elements(dst + n * example, before, example);
        move(m, 1, apart, before, dst + n * example);
      }
    });
  }

 private:
  Moves moves_;
  bool apart_;
};

Moves moves_of(const Shape& whole, int64_t side, bool channels_last, bool to_batch) {
  Moves m;
  m.examples = whole[0];
  m.height = whole[2];
  m.width = whole[3];
  m.side = side;
  m.values = channels_last ? whole[1] : vector::lanes();
  m.blocks = whole[1] / m.values;
  const int64_t width = m.width / side, pixels = m.height / side * width;
  const int64_t phases = side * side;
  m.phases = {phases * m.blocks * pixels, m.blocks * pixels, pixels, width, 1};
  // Channels last, those of a pixel's phases lie side by side.
  if (channels_last && !to_batch) m.phases = {phases * pixels, 1, 0, phases * width, phases};
  return m;
}

// Runs in the graph's layout where both shapes have it and no padding lies between the phases.
std::optional<KernelChoice> choose(const Context& c, bool apart, bool to_batch) {
  if (c.in_type(0) != ElementType::f32 || c.layout(0).tag == kPlain) return std::nullopt;
  const Shape& whole = apart ? c.in(0) : c.out(0);
  const Layout in = c.formats.map_layout(c.in(0));
  const Layout out = c.formats.map_layout(c.out(0));
  const bool channels_last = in.tag == "nhwc";
  if (in.tag != out.tag || in.tag == kPlain) return std::nullopt;
  if (!channels_last && whole[1] % vector::lanes() != 0) return std::nullopt;
  KernelChoice choice = plain_choice(c);
  choice.inputs[0] = in;
  choice.outputs[0] = out;
  choice.implementation = "phases";
  const Moves moves = moves_of(whole, c.node.attributes.integer("block"), channels_last, to_batch);
  choice.scratch_bytes = moves.floats() * int64_t{sizeof(float)};
  choice.kernel = std::make_shared<SpaceKernel>(moves, apart);
  return choice;
}

}  // namespace

void define_fast_space(Choosers& choosers) {
  choosers["space_to_depth"] = [](const Context& c) { return choose(c, true, false); };
  choosers["depth_to_space"] = [](const Context& c) { return choose(c, false, false); };
  choosers["space_to_batch"] = [](const Context& c) { return choose(c, true, true); };
  choosers["batch_to_space"] = [](const Context& c) { return choose(c, false, true); };
}

}  // namespace thimble::onednn
