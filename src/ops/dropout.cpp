#include <algorithm>

#include "base/random.h"
#include "ops/core/copy.h"
#include "ops/core/gradient.h"

// src (N, ...), counter (4): step, seed, sample offset, 0.

namespace thimble {
namespace {

// Keeps these draws apart from those of other users of the same seed.
constexpr uint32_t kDropoutKey = 0x64726f70;

struct Dropout {
  template <class T>
  static void run(const OpCall& call) {
    const T* src = call.in<T>(0);
    T* dst = call.out<T>(0);
    const int64_t elements = call.out_shape(0).elements();
    if (call.attributes.integer("training") == 0) {
      copy_elements(src, dst, elements);
      return;
    }
    const int32_t* counter = call.in<int32_t>(1);
    const auto word = [&](int i) { return static_cast<uint32_t>(counter[i]); };
    const auto layer = static_cast<uint32_t>(call.attributes.integer("layer"));
    const double probability = call.attributes.real("probability");
    const auto threshold = static_cast<uint64_t>(probability * 0x1.0p32);
    const T scale = T(1 / (1 - probability));
    const int64_t sample_elements = elements / call.out_shape(0)[0];
    // One draw of four words makes four mask bits; a sample starts a new draw.
    const int64_t draws = (sample_elements + 3) / 4;
    parallel_for(
        call.out_shape(0)[0] * draws, kParallelGrain / 16, [&](int64_t begin, int64_t end) {
          for (int64_t d = begin; d < end; ++d) {
            const int64_t sample = d / draws;
            const int64_t first = d % draws * 4;
            const auto bits = philox({static_cast<uint32_t>(d % draws),
                                      word(2) + static_cast<uint32_t>(sample), layer, word(0)},
                                     {word(1), kDropoutKey});
            const int64_t at = sample * sample_elements + first;
            const int64_t count = std::min<int64_t>(4, sample_elements - first);
            for (int64_t k = 0; k < count; ++k) {
              dst[at + k] = bits[static_cast<size_t>(k)] >= threshold ? src[at + k] * scale : T(0);
            }
          }
        });
  }
};

}  // namespace

void define_dropout(OpTable& table) {
  OpDef def;
  def.name = "dropout";
  def.summary = "zeroes elements at random and scales the rest to keep the mean (arXiv 1207.0580)";
  def.attributes = {{"probability", 0.5, "of zeroing an element"},
                    {"layer", int64_t{0}, "names the random stream: another one for each layer"},
                    {"training", int64_t{1}, "0: pass everything unchanged"}};
  def.inputs = {{"src"}, {"counter"}};
  def.outputs = {{"dst"}};
  def.infer = [](const OpShapes& s) {
    const double probability = s.attributes.real("probability");
    require(probability >= 0 && probability < 1, "dropout: probability must be in [0, 1), got ",
            probability);
    require(s.inputs[0].rank() >= 1, "dropout: src must be (N, ...), got ", s.inputs[0]);
    require(s.inputs[1] == Shape{4}, "dropout: counter must be (4), got ", s.inputs[1]);
    return std::vector<TensorSpec>{{s.inputs[0]}};
  };
  // The mask is drawn again: backward is the same op on the gradient.
  def.gradient = [](GradientBuilder& g) {
    g.set_diff_input(0, g.emit("dropout", {g.diff_output(), g.input(1)}, g.attributes())[0]);
  };
  def.saves = [](const OpShapes&) { return Saves{{1}, {}}; };
  def.in_place = {{0, 0}};
  // Ten rounds of two products for four elements, roughly.
  def.flops = [](const OpShapes& s) { return 16 * s.inputs[0].elements(); };
  def.kernels = portable_kernels<Dropout>();
  table.add(def);
}

}  // namespace thimble
