#include "ops/core/reshape.h"

namespace thimble {

void define_flatten(OpTable& table) {
  OpDef def;
  def.name = "flatten";
  def.summary = "one row of numbers per sample: (N, ...) to (N, rest)";
  def.inputs = {{"src"}};
  def.outputs = {{"dst"}};
  def.infer = [](const OpShapes& s) {
    const Shape& src = s.inputs[0];
    require(src.rank() >= 1 && src[0] > 0, "flatten: src must be (N, ...), got ", src);
    return std::vector<TensorSpec>{{{src[0], src.elements() / src[0]}}};
  };
  def.gradient = reshape_gradient;
  def.inverse = inverted_reshape;
  def.in_place = {{0, 0}};
  def.flops = no_flops;
  def.kernels = portable_kernels<ReshapeKernel>();
  table.add(def);
}

}  // namespace thimble
