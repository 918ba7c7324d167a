#pragma once

#include <onnx/onnx_pb.h>

#include <optional>
#include <string>
#include <vector>

#include "onnx/refused.h"

namespace thimble {

// The attributes of a file's node, of the types that its op says. Throws Refused on others.
class NodeView {
 public:
  // `number`: its place in the file, which names it when it has no name.
  NodeView(const onnx::NodeProto& node, size_t number) : node_(node), number_(number) {}

  std::string name() const;
  const std::string& domain() const { return node_.domain(); }
  const std::string& op() const { return node_.op_type(); }
  size_t input_count() const { return static_cast<size_t>(node_.input_size()); }
  size_t output_count() const { return static_cast<size_t>(node_.output_size()); }
  // Empty: absent.
  const std::string& input(size_t i) const;
  const std::string& output(size_t i) const;

  bool has(const char* name) const { return find(name) != nullptr; }
  int64_t integer(const char* name, int64_t initial) const;
  double real(const char* name, double initial) const;
  std::string text(const char* name, const std::string& initial) const;
  std::vector<int64_t> integers(const char* name, std::vector<int64_t> initial) const;
  const onnx::TensorProto* tensor(const char* name) const;  // null: there is none
  const onnx::AttributeProto* find(const char* name) const;

 private:
  const onnx::AttributeProto* find(const char* name, int type) const;

  const onnx::NodeProto& node_;
  size_t number_;
};

// The number of fewest decimals that this float is nearest to: 0.001, where a file can only say
// 0.001000000047.
double decimal(float value);

}  // namespace thimble
