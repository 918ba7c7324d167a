#include "onnx/exporter.h"

#include <set>

#include "onnx/export_graph.h"
#include "onnx/importer.h"
#include "onnx/metadata.h"
#include "ops/core/op.h"

namespace thimble {
namespace {

constexpr int64_t kIrVersion = 7;
constexpr int64_t kOpset = 13;
constexpr const char* kBatchName = "N";

void describe(onnx::ValueInfoProto& value, const std::string& name, const Shape& shape) {
  value.set_name(name);
  auto& type = *value.mutable_type()->mutable_tensor_type();
  type.set_elem_type(onnx::TensorProto::FLOAT);
  type.mutable_shape()->add_dim()->set_dim_param(kBatchName);
  for (int i = 1; i < shape.rank(); ++i) type.mutable_shape()->add_dim()->set_dim_value(shape[i]);
}

class Exporter {
 public:
  Exporter(const Network& network, onnx::ModelProto& model)
      : network_(network), graph_(*model.mutable_graph()), nodes_(graph_, taken(network)) {
    shapes_[network.input] = {kBatch, network.image[0], network.image[1], network.image[2]};
    for (const NetworkParameter& p : network.parameters) {
      shapes_[p.name] = p.shape;
      graph_.add_initializer()->set_name(p.name);  // first in the file; filled in at the end
    }
    describe(*graph_.add_input(), network.input, shapes_.at(network.input));
  }

  void add(const NetworkLayer& layer) {
    const LayerExporter exporter = find_layer_exporter(layer.op);
    require(exporter != nullptr, "layer ", layer.name, ": ONNX has no words for the op ", layer.op);
    ExportLayer at{layer, {}, {}, {}};
    for (const AttributeSpec& spec : find_op(layer.op).attributes) {
      at.attributes.set(spec.name, spec.initial);
    }
    for (const auto& [name, value] : layer.attributes) at.attributes.set(name, value);
    for (const std::string& input : layer.inputs) {
      require(input.empty() || shapes_.contains(input), "layer ", layer.name, " reads ", input,
              ", which nothing makes before it");
      at.inputs.push_back(input.empty() ? Shape{} : shapes_.at(input));
    }
    at.inputs.resize(std::max(at.inputs.size(), find_op(layer.op).inputs.size()));
    try {
      at.outputs = inferred(layer.op, at.attributes, at.inputs);
    } catch (const UserError& e) {
      throw UserError(str_cat("layer ", layer.name, ": ", e.what()));
    }
    require(layer.outputs.size() <= at.outputs.size(), "layer ", layer.name, " does not make ",
            layer.outputs.back());
    for (size_t i = 0; i < layer.outputs.size(); ++i) shapes_[layer.outputs[i]] = at.outputs[i];
    exporter(nodes_, at);
  }

  void finish(const std::function<void(const std::string&, float*, int64_t)>& read) {
    require(shapes_.contains(network_.output), "nothing makes its output ", network_.output);
    describe(*graph_.add_output(), network_.output, shapes_.at(network_.output));
    for (size_t i = 0; i < network_.parameters.size(); ++i) {
      fill(network_.parameters[i], *graph_.mutable_initializer(static_cast<int>(i)), read);
    }
  }

 private:
  static std::set<std::string> taken(const Network& network) {
    std::set<std::string> names = {network.input};
    for (const NetworkParameter& p : network.parameters) names.insert(p.name);
    for (const NetworkLayer& layer : network.layers) {
      names.insert(layer.outputs.begin(), layer.outputs.end());
    }
    return names;
  }

  void fill(const NetworkParameter& p, onnx::TensorProto& tensor,
            const std::function<void(const std::string&, float*, int64_t)>& read) {
    const auto it = nodes_.forms().find(p.name);
    const bool formed = it != nodes_.forms().end();
    for (int64_t size : formed ? it->second.shape : p.shape) tensor.add_dims(size);
    tensor.set_data_type(onnx::TensorProto::FLOAT);
    std::vector<float> values(static_cast<size_t>(p.shape.elements()));
    read(p.name, values.data(), p.shape.elements());
    if (formed) tensor.set_name(it->second.name);
    if (formed && it->second.change) it->second.change(values);
    tensor.set_raw_data(values.data(), values.size() * sizeof(float));
  }

  const Network& network_;
  onnx::GraphProto& graph_;
  ExportGraph nodes_;
  std::map<std::string, Shape> shapes_;
};

}  // namespace

onnx::ModelProto export_network(
    const Network& network,
    const std::function<void(const std::string& name, float* to, int64_t count)>& read) {
  onnx::ModelProto model;
  model.set_ir_version(kIrVersion);
  model.set_producer_name("thimble");
  model.add_opset_import()->set_version(kOpset);
  model.mutable_graph()->set_name(network.name);
  Exporter exporter(network, model);
  for (const NetworkLayer& layer : network.layers) exporter.add(layer);
  exporter.finish(read);
  write_metadata(network, model);
  return model;
}

}  // namespace thimble
