#include <algorithm>

#include "ops/core/copy.h"
#include "ops/core/gradient.h"

// src, dst (N, C, H, W): channels as rows of `groups`, read by columns (arXiv 1707.01083). Turned
// back by the shuffle with C / groups.

namespace thimble {
namespace {

struct Shuffle {
  template <class T>
  static void run(const OpCall& call) {
    const Shape& shape = call.in_shape(0);
    const int64_t c = shape[1], pixels = shape[2] * shape[3];
    const int64_t groups = call.attributes.integer("groups"), width = c / groups;
    const T* src = call.in<T>(0);
    T* dst = call.out<T>(0);
    parallel_for(shape[0] * c, grain_of(pixels), [&](int64_t begin, int64_t end) {
      for (int64_t plane = begin; plane < end; ++plane) {
        const int64_t k = plane % c;
        const int64_t from = plane - k + k % groups * width + k / groups;
        std::copy_n(src + from * pixels, pixels, dst + plane * pixels);
      }
    });
  }
};

}  // namespace

void define_channel_shuffle(OpTable& table) {
  OpDef def;
  def.name = "channel_shuffle";
  def.summary = "mixes the channels of groups: first ones first, then second ones";
  def.attributes = {{"groups", int64_t{1}, "that divide the channels"}};
  def.inputs = {{"src"}};
  def.outputs = {{"dst"}};
  def.infer = [](const OpShapes& s) {
    const int64_t groups = s.attributes.integer("groups");
    require(s.inputs[0].rank() == 4, "channel_shuffle: src must be (N, C, H, W), got ",
            s.inputs[0]);
    require(groups > 0 && s.inputs[0][1] % groups == 0, "channel_shuffle: ", groups,
            " groups must divide the ", s.inputs[0][1], " channels of src");
    return std::vector<TensorSpec>{{s.inputs[0]}};
  };
  def.gradient = [](GradientBuilder& g) {
    const int64_t width = g.input_shape(0)[1] / g.attributes().integer("groups");
    g.set_diff_input(0, g.emit("channel_shuffle", {g.diff_output()}, {{"groups", width}})[0]);
  };
  def.spatial = [](const Attributes&) { return Spatial{Spatial::Kind::pointwise, {}, {}, {}, {}}; };
  def.flops = no_flops;
  def.kernels = portable_kernels<Shuffle>();
  table.add(def);
}

}  // namespace thimble
