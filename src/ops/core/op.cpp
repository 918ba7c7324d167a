#include "ops/core/op.h"

#include <algorithm>

#include "base/names.h"

namespace thimble {

void define_all_ops(OpTable& table);  // written by CMake from the files in src/ops

void OpTable::add(OpDef def) {
  ensure(find(def.name) == nullptr, "two ops are called ", def.name);
  defs_.push_back(std::move(def));
}

const OpDef* OpTable::find(std::string_view name) const {
  const auto it =
      std::find_if(defs_.begin(), defs_.end(), [&](const OpDef& d) { return d.name == name; });
  return it == defs_.end() ? nullptr : &*it;
}

const OpTable& op_table() {
  static const OpTable table = [] {
    OpTable t;
    define_all_ops(t);
    return t;
  }();
  return table;
}

const OpDef& find_op(std::string_view name) {
  // Sorted: planning asks for the ops of all nodes again and again.
  static const std::vector<const OpDef*> sorted = [] {
    std::vector<const OpDef*> all;
    for (const OpDef& d : op_table().all()) all.push_back(&d);
    std::ranges::sort(all, {}, &OpDef::name);
    return all;
  }();
  const auto it = std::ranges::lower_bound(sorted, name, {}, &OpDef::name);
  if (it == sorted.end() || (*it)->name != name) {
    std::vector<std::string> names;
    for (const OpDef& d : op_table().all()) names.push_back(d.name);
    throw UserError(str_cat("there is no op called '", name, "'", did_you_mean(name, names),
                            " `thimble list ops` names them all"));
  }
  return **it;
}

bool moves_weights(const OpDef& op) {
  return op.updates && op.inputs.size() > 2 && op.inputs[0].name == "weights" &&
         op.inputs[2].name == "lr";
}

OpShapes shapes_of(const Graph& graph, const Node& node) {
  OpShapes shapes{node.attributes, {}};
  for (TensorId t : node.inputs) {
    shapes.inputs.push_back(t == kNoTensor ? Shape{} : graph.tensor(t).shape);
  }
  return shapes;
}

ElementType type_of_inputs(const Graph& graph, const Node& node) {
  for (TensorId t : node.inputs) {
    if (t == kNoTensor || is_persistent(graph.tensor(t).role)) continue;
    if (graph.tensor(t).role == Role::expanded) continue;
    if (is_scalar(graph.tensor(t).type)) return graph.tensor(t).type;
  }
  return ElementType::f32;
}

Saves saves_of(const Graph& graph, const Node& node) {
  const OpDef& def = find_op(node.op);
  return def.saves ? def.saves(shapes_of(graph, node)) : Saves{};
}

int64_t flops_of(const Graph& graph, const Node& node) {
  const OpDef& def = find_op(node.op);
  if (def.flops) return def.flops(shapes_of(graph, node));
  int64_t elements = 0;
  for (TensorId t : node.outputs) {
    if (t != kNoTensor) elements += graph.tensor(t).shape.elements();
  }
  return elements;
}

int64_t scratch_scalars_of(const Graph& graph, const Node& node) {
  const OpDef& def = find_op(node.op);
  return def.scratch_scalars ? def.scratch_scalars(shapes_of(graph, node)) : 0;
}

}  // namespace thimble
