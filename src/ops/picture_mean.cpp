#include <algorithm>

#include "ops/core/gradient.h"

// N patches, those of a picture one after the other; K classes; G pictures.
// logits, dst (N, K); sums (G, K): over the patches of a picture. N holds whole pictures, or a part
// of one: then G counts one.
//
// In evaluation the logits are added to their picture's sum, which whoever runs the graph sets to
// zero before a picture's first patch, and dst is the mean: of all patches once the last is there.
// In training the sums are complete, from a pass before over the same patches, and only read. The
// loss is a mean over patches, and those of a picture have one dst: so each patch's share in the
// gradient of the picture's mean is the gradient of its own row, which is handed on as it is.

namespace thimble {
namespace {

struct Forward {
  template <class T>
  static void run(const OpCall& call) {
    const int64_t rows = call.in_shape(0)[0], classes = call.in_shape(0)[1];
    const T* logits = call.in<T>(0);
    T* dst = call.out<T>(0);
    const bool training = call.attributes.integer("training") != 0;
    if (training && call.attributes.integer("mean") == 0) {
      if (dst != logits) std::copy_n(logits, rows * classes, dst);
      return;
    }
    const int64_t patches = call.attributes.integer("patches");
    const int64_t of_one = std::min(patches, rows);
    const T share = T(1 / static_cast<double>(patches));
    // Behind dst in evaluation, when the sums are an output as well.
    T* sums = training ? const_cast<T*>(call.in<T>(1)) : call.out<T>(1);
    for (int64_t n = 0; n < rows && !training; ++n) {
      for (int64_t k = 0; k < classes; ++k) {
        sums[n / of_one * classes + k] += logits[n * classes + k];
      }
    }
    for (int64_t n = 0; n < rows; ++n) {
      for (int64_t k = 0; k < classes; ++k) {
        dst[n * classes + k] = sums[n / of_one * classes + k] * share;
      }
    }
  }
};

}  // namespace

void define_picture_mean(OpTable& table) {
  OpDef def;
  def.name = "picture_mean";
  def.summary = "the mean of the logits of a picture's patches, in the place of each one's own";
  def.attributes = {{"patches", int64_t{1}, "of a picture"},
                    {"mean", int64_t{0}, "1: training sees the mean too, from a pass before"},
                    {"training", int64_t{1}, "0: add to the sums"}};
  def.inputs = {{"logits"}, {"sums"}};
  def.outputs = {{"dst"}};
  def.infer = [](const OpShapes& s) {
    const Shape& logits = s.inputs[0];
    const Shape& sums = s.inputs[1];
    const int64_t patches = s.attributes.integer("patches");
    require(
        logits.rank() == 2 && patches > 0 && (logits[0] % patches == 0 || patches % logits[0] == 0),
        "picture_mean: logits must be (N, K), whole pictures of ", patches,
        " patches or an equal part of one, got ", logits);
    require(sums.rank() == 2 && sums[1] == logits[1] &&
                sums[0] >= std::max<int64_t>(1, logits[0] / patches),
            "picture_mean: logits ", logits, " of ", patches,
            " patches a picture need sums by picture, got ", sums);
    return std::vector<TensorSpec>{{logits}};
  };
  def.updates = [](const OpShapes& s) {
    return s.attributes.integer("training") != 0 ? std::vector<size_t>{} : std::vector<size_t>{1};
  };
  def.gradient = [](GradientBuilder& g) { g.set_diff_input(0, g.diff_output(0)); };
  def.in_place = {{0, 0}};
  def.flops = [](const OpShapes& s) { return 2 * s.inputs[0].elements(); };
  def.kernels = portable_kernels<Forward>();
  table.add(def);
}

}  // namespace thimble
