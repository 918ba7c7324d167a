#include "onnx/export_graph.h"

namespace thimble {
namespace {

onnx::AttributeProto& attribute(onnx::NodeProto& node, const char* name,
                                onnx::AttributeProto::AttributeType type) {
  onnx::AttributeProto& a = *node.add_attribute();
  a.set_name(name);
  a.set_type(type);
  return a;
}

onnx::TensorProto& constant(onnx::GraphProto& graph, const std::string& name, int type,
                            size_t count, bool scalar) {
  onnx::TensorProto& t = *graph.add_initializer();
  t.set_name(name);
  t.set_data_type(type);
  if (!scalar) t.add_dims(static_cast<int64_t>(count));
  return t;
}

}  // namespace

onnx::NodeProto& ExportGraph::last(const ExportLayer& at, const std::string& op,
                                   const std::vector<std::string>& inputs) {
  onnx::NodeProto& node = *graph_.add_node();
  node.set_op_type(op);
  node.set_name(at.layer.name);
  for (const std::string& input : inputs) node.add_input(input);
  for (const std::string& output : at.layer.outputs) node.add_output(output);
  return node;
}

onnx::NodeProto& ExportGraph::before(const ExportLayer& at, const std::string& op,
                                     const std::string& suffix,
                                     const std::vector<std::string>& inputs, std::string& made) {
  made = unique(at.layer.name + suffix);
  onnx::NodeProto& node = *graph_.add_node();
  node.set_op_type(op);
  node.set_name(at.layer.name + suffix);
  for (const std::string& input : inputs) node.add_input(input);
  node.add_output(made);
  return node;
}

std::string ExportGraph::whole(const ExportLayer& at, const std::string& suffix,
                               const std::vector<int64_t>& values) {
  const std::string name = unique(at.layer.name + suffix);
  auto& t = constant(graph_, name, onnx::TensorProto::INT64, values.size(), false);
  for (int64_t v : values) t.add_int64_data(v);
  return name;
}

std::string ExportGraph::real(const ExportLayer& at, const std::string& suffix,
                              const std::vector<float>& values, bool scalar) {
  const std::string name = unique(at.layer.name + suffix);
  auto& t = constant(graph_, name, onnx::TensorProto::FLOAT, values.size(), scalar);
  for (float v : values) t.add_float_data(v);
  return name;
}

std::string ExportGraph::unique(const std::string& wanted) {
  std::string name = wanted;
  for (int copy = 2; !taken_.insert(name).second; ++copy) name = str_cat(wanted, '.', copy);
  return name;
}

void set(onnx::NodeProto& node, const char* name, int64_t value) {
  attribute(node, name, onnx::AttributeProto::INT).set_i(value);
}

void set(onnx::NodeProto& node, const char* name, double value) {
  attribute(node, name, onnx::AttributeProto::FLOAT).set_f(static_cast<float>(value));
}

void set(onnx::NodeProto& node, const char* name, const char* value) {
  attribute(node, name, onnx::AttributeProto::STRING).set_s(value);
}

void set(onnx::NodeProto& node, const char* name, const std::vector<int64_t>& values) {
  auto& a = attribute(node, name, onnx::AttributeProto::INTS);
  for (int64_t v : values) a.add_ints(v);
}

}  // namespace thimble
