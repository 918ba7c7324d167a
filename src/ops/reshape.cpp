#include "ops/core/reshape.h"

#include "ops/core/builder.h"
#include "ops/core/text.h"

namespace thimble {
namespace {

std::vector<TensorSpec> infer(const OpShapes& s) {
  const auto& sizes = s.attributes.integers("shape");
  const int64_t elements = s.inputs[0].elements();
  require(!sizes.empty() && sizes.size() <= Shape::kMaxRank, "reshape: shape takes 1 to ",
          Shape::kMaxRank, " sizes, got ", text_of(sizes));
  int64_t known = 1;
  int open = 0;
  for (int64_t size : sizes) {
    require(size > 0 || size == -1, "reshape: sizes must be positive, or -1 for what is left, got ",
            text_of(sizes));
    size == -1 ? ++open : known *= size;
  }
  require(open <= 1, "reshape: at most one size may be -1, got ", text_of(sizes));
  require(open == 1 ? elements % known == 0 : elements == known, "reshape: ", s.inputs[0], " has ",
          elements, " elements, which do not fill ", text_of(sizes));
  Shape shape;
  for (int64_t size : sizes) shape.push_back(size == -1 ? elements / known : size);
  return {{shape}};
}

}  // namespace

void define_reshape(OpTable& table) {
  OpDef def;
  def.name = "reshape";
  def.summary = "the same elements under another shape";
  def.attributes = {{"shape", ints({-1}), "the new sizes; one may be -1"}};
  def.inputs = {{"src"}};
  def.outputs = {{"dst"}};
  def.infer = infer;
  def.gradient = reshape_gradient;
  def.inverse = inverted_reshape;
  def.in_place = {{0, 0}};
  def.flops = no_flops;
  def.kernels = portable_kernels<ReshapeKernel>();
  table.add(def);
}

}  // namespace thimble
