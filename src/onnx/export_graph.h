#pragma once

#include <onnx/onnx_pb.h>

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/shape.h"
#include "models/network.h"

namespace thimble {

// A layer with all attributes of its op, and what it reads and makes.
struct ExportLayer {
  const NetworkLayer& layer;
  Attributes attributes;      // defaults filled in
  std::vector<Shape> inputs;  // first size: kBatch; rank 0: absent
  std::vector<Shape> outputs;
};

// A graph of ONNX as layers add nodes and constants to it.
class ExportGraph {
 public:
  ExportGraph(onnx::GraphProto& graph, std::set<std::string> taken)
      : graph_(graph), taken_(std::move(taken)) {}

  // The node that makes the layer's outputs, under the layer's name.
  onnx::NodeProto& last(const ExportLayer& at, const std::string& op,
                        const std::vector<std::string>& inputs);
  // One before it; its output, a tensor with a name of its own, comes back in `made`.
  onnx::NodeProto& before(const ExportLayer& at, const std::string& op, const std::string& suffix,
                          const std::vector<std::string>& inputs, std::string& made);
  // Constants, whose names come back.
  std::string whole(const ExportLayer& at, const std::string& suffix,
                    const std::vector<int64_t>& values);
  std::string real(const ExportLayer& at, const std::string& suffix,
                   const std::vector<float>& values, bool scalar = false);
  // How a parameter stands in the file, where that is not as it is here.
  struct Form {
    std::string name;  // of the tensor
    Shape shape;
    std::function<void(std::vector<float>&)> change = {};  // of its numbers; null: none
  };
  void write_as(const std::string& parameter, Form form) { forms_[parameter] = std::move(form); }
  const std::map<std::string, Form>& forms() const { return forms_; }

 private:
  std::string unique(const std::string& wanted);

  onnx::GraphProto& graph_;
  std::set<std::string> taken_;  // names of tensors
  std::map<std::string, Form> forms_;
};

void set(onnx::NodeProto& node, const char* name, int64_t value);
void set(onnx::NodeProto& node, const char* name, double value);
void set(onnx::NodeProto& node, const char* name, const char* value);
void set(onnx::NodeProto& node, const char* name, const std::vector<int64_t>& values);

// What writes a layer of an op. Throws UserError where ONNX has no words for it.
using LayerExporter = void (*)(ExportGraph&, const ExportLayer&);
// Null: no op of opset 13 says it.
LayerExporter find_layer_exporter(const std::string& op);

}  // namespace thimble
