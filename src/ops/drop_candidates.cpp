#include "ops/core/drop_grow.h"

// Elastic mutation (MEST, arXiv 2110.14032): what a change drops are the active units of the least
// |weight| + share * |gradient|, so that what has grown a short time ago, and is small yet, may
// stay. values, diff_values (active units * block), counter, drops (numbers of active units).

namespace thimble {
namespace {

struct DropCandidates {
  template <std::floating_point T>
  static void run(const OpCall& call) {
    const SparseShape shape = sparse_shape(call.attributes);
    const int64_t active = call.in_shape(0).elements() / shape.block;
    const int64_t count = replaced_in(call.attributes, active, call.in<int32_t>(2)[0]);
    if (count == 0) return;
    const T* values = call.in<T>(0);
    const T* diff = call.in<T>(1);
    const T share = static_cast<T>(call.attributes.real("gradient"));
    find_least(shape, active, count, static_cast<T*>(call.scratch), call.out<int32_t>(0),
               [&](int64_t i) { return std::fabs(values[i]) + share * std::fabs(diff[i]); });
  }
};

}  // namespace

void define_drop_candidates(OpTable& table) {
  OpDef def;
  def.name = "drop_candidates";
  def.summary = "active positions of a sparse weight with the least magnitude and gradient";
  def.attributes = changing_attributes();
  def.attributes.push_back({"gradient", 1.0, "what a gradient counts beside a magnitude"});
  def.inputs = {{"values"}, {"diff_values"}, {"counter"}, {"drops"}};
  def.infer = [](const OpShapes& s) {
    require(s.inputs[0] == s.inputs[1], "drop_candidates: values ", s.inputs[0],
            " and diff_values ", s.inputs[1], " differ");
    return std::vector<TensorSpec>{};
  };
  def.updates = [](const OpShapes&) { return std::vector<size_t>{3}; };
  def.flops = [](const OpShapes& s) { return 2 * s.inputs[0].elements(); };
  def.scratch_scalars = [](const OpShapes& s) { return s.inputs[3].elements(); };
  def.kernels = portable_kernels<DropCandidates>();
  table.add(def);
}

}  // namespace thimble
