#include "onnx/models.h"

#include <onnx/checker.h>

#include <algorithm>

#include "onnx/exporter.h"
#include "support/interpreter.h"

namespace thimble {

std::vector<float> ramp(int64_t count) {
  std::vector<float> values;
  for (int64_t i = 0; i < count; ++i) values.push_back(static_cast<float>(i + 1) / 8);
  return values;
}

onnx::ModelProto model(const std::string& graph, const Weights& weights, int64_t opset) {
  onnx::ModelProto model;
  const std::string text = str_cat("<ir_version: 7, opset_import: [\"\" : ", opset, "]> ", graph);
  onnx::OnnxParser parser(text.c_str());  // which keeps the address
  const auto status = parser.Parse(model);
  EXPECT_TRUE(status.IsOK()) << status.ErrorMessage();
  for (const auto& [name, shape] : weights) {
    onnx::TensorProto& t = *model.mutable_graph()->add_initializer();
    t.set_name(name);
    t.set_data_type(onnx::TensorProto::FLOAT);
    int64_t count = 1;
    for (int64_t size : shape) {
      t.add_dims(size);
      count *= size;
    }
    for (float v : ramp(count)) t.add_float_data(v);
  }
  return model;
}

onnx::ModelProto nodes(const std::string& body, const Weights& weights, int64_t opset) {
  return model("g (float[N,3,8,8] x) => (float[N,M] y) {" + body + "}", weights, opset);
}

Imported imported(onnx::ModelProto model) { return import_model(model); }

std::string ops(const Network& network) {
  std::string all;
  for (const NetworkLayer& layer : network.layers) all += (all.empty() ? "" : " ") + layer.op;
  return all;
}

onnx::ModelProto exported(const Imported& from) {
  return export_network(from.network, [&](const std::string& name, float* to, int64_t count) {
    const std::vector<float>& values = from.values.at(name);
    EXPECT_EQ(static_cast<int64_t>(values.size()), count) << name;
    std::copy(values.begin(), values.end(), to);
  });
}

Imported imported_both_ways(onnx::ModelProto model) {
  Imported first = imported(std::move(model));
  onnx::ModelProto out = exported(first);
  EXPECT_NO_THROW(onnx::checker::check_model(out));
  const Imported second = imported(std::move(out));
  EXPECT_EQ(first.network, second.network);
  for (const NetworkParameter& p : first.network.parameters) {
    EXPECT_EQ(first.values.at(p.name), second.values.at(p.name)) << p.name;
  }
  return first;
}

std::vector<double> logits(const Imported& of, const std::vector<double>& images) {
  ModelOptions o;
  o.channels = of.network.image[0];
  o.height = of.network.image[1];
  o.width_px = of.network.image[2];
  o.batch = static_cast<int64_t>(images.size()) / of.network.image.elements();
  o.norm = "frozen";
  const Graph graph = graph_of(of.network, o);
  Interpreter<double> run(graph);
  run.set(graph.find("images"), images);
  run.set(graph.find("labels"), std::vector<double>(static_cast<size_t>(o.batch)));
  for (const NetworkParameter& p : of.network.parameters) {
    const std::vector<float>& values = of.values.at(p.name);
    run.set(graph.find(p.name), {values.begin(), values.end()});
  }
  run.run();
  return run.get(graph.find("logits"));
}

}  // namespace thimble
