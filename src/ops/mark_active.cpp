#include "ops/core/drop_grow.h"

// Which positions of a sparse weight were ever active (in-time over-parametrization, ITOP, arXiv
// 2102.02887): a bit for each unit, set in front of each change. What the last change made active,
// the index says. active: as in ops/densify.cpp; counter; explored: bytes, the first unit's bit is
// the lowest of the first.

namespace thimble {
namespace {

struct MarkActive {
  template <std::floating_point T>
  static void run(const OpCall& call) {
    const SparseShape shape = sparse_shape(call.attributes);
    const int64_t active = call.attributes.integer("values") / shape.block;
    if (replaced_in(call.attributes, active, call.in<int32_t>(1)[0]) == 0) return;
    uint8_t* explored = call.out<uint8_t>(0);
    SparseIndex(call.in<uint8_t>(0), shape, active).each([&](int64_t, int64_t unit) {
      explored[unit / 8] = static_cast<uint8_t>(explored[unit / 8] | 1 << unit % 8);
    });
  }
};

}  // namespace

void define_mark_active(OpTable& table) {
  OpDef def;
  def.name = "mark_active";
  def.summary = "notes which positions of a sparse weight have been active";
  def.attributes = changing_attributes();
  def.attributes.push_back({"values", int64_t{0}, "active values"});
  def.inputs = {{"active"}, {"counter"}, {"explored"}};
  def.infer = [](const OpShapes& s) {
    const int64_t bytes = explored_bytes(sparse_shape(s.attributes));
    require(s.inputs[2] == Shape{bytes}, "mark_active: explored needs ", bytes, " bytes, got ",
            s.inputs[2]);
    return std::vector<TensorSpec>{};
  };
  def.updates = [](const OpShapes&) { return std::vector<size_t>{2}; };
  def.flops = [](const OpShapes& s) { return s.attributes.integer("values"); };
  def.kernels = portable_kernels<MarkActive>();
  table.add(def);
}

}  // namespace thimble
