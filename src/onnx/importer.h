#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/shape.h"
#include "models/network.h"
#include "onnx/constant.h"
#include "onnx/node.h"

namespace thimble {

// Stands for the batch in shapes, whose first size it is.
inline constexpr int64_t kBatch = 2;

// A layer on its way from a file to the network: an op of the table, or one of the file that a
// pattern may yet join with its neighbours (simplify.h). Those begin with '?'.
struct DraftLayer {
  NetworkLayer layer;
  std::string onnx_op;  // for messages
  Shape shape;          // of the output
};

// A node that cannot be taken.
struct Refusal {
  std::string node, op, why, hint;
};

// What importing a file gathers. Converters (convert.h) add to it node by node.
class Draft {
 public:
  std::vector<DraftLayer> layers;
  std::vector<NetworkParameter> parameters;
  std::map<std::string, std::vector<float>> values;  // of parameters
  std::vector<Refusal> refusals;
  std::vector<std::string> notes;    // what was dropped that a user should know of
  std::string output;                // of the graph
  std::set<std::string> statistics;  // that a file of ours names: numbers that are not trained
  int64_t fixed_batch = 0;           // that the file was written for; 0: any

  // The tensor that a file calls so, under the name that it has here: what is dropped makes none.
  const std::string& resolve(const std::string& tensor) const;
  void alias(const std::string& tensor, const std::string& of);

  const Constant* constant(const std::string& tensor) const;  // null: it is none
  void define(const std::string& tensor, Constant value);
  bool is_activation(const std::string& tensor) const;
  const Shape& shape(const std::string& tensor) const;  // of an activation
  void set_shape(const std::string& tensor, const Shape& shape);
  bool is_lost(const std::string& tensor) const { return lost_.contains(resolve(tensor)); }
  void lose(const std::string& tensor) { lost_.insert(tensor); }  // its maker was refused

  // A constant as a parameter of this shape, which has as many elements; a name for it. The same
  // constant in the same role is the same parameter.
  std::string parameter(const std::string& tensor, const Shape& shape, Role role);
  // The parameter in another form; the name of that. It keeps its own unless others still read the
  // form that it had, and those that ask for the same form share it.
  std::string changed_parameter(const std::string& name, std::vector<float> numbers,
                                const Shape& shape, bool shared);
  const Shape* parameter_shape(const std::string& name) const;  // null: there is none
  // The same for numbers that the file has in another form.
  std::string parameter(const std::string& name, std::vector<float> numbers, const Shape& shape,
                        Role role);

  // Adds a layer of an op of the table, its shape inferred. Throws UserError.
  void add(const std::string& op, const std::string& name, const std::string& onnx_op,
           std::vector<std::string> inputs, std::vector<std::string> outputs,
           Attributes attributes);
  // Adds one that begins with '?'.
  void add_pseudo(const std::string& op, const std::string& name, const std::string& onnx_op,
                  std::vector<std::string> inputs, const std::string& made, Attributes attributes,
                  const Shape& shape);
  std::string unique_layer_name(const std::string& wanted);

 private:
  std::map<std::string, std::string> aliases_;
  std::map<std::string, Constant> constants_;
  std::map<std::string, Shape> shapes_;
  std::set<std::string> lost_;
  std::set<std::string> layer_names_;
  std::string add_parameter(const std::string& name, std::vector<float> numbers, const Shape& shape,
                            Role role);

  std::map<std::string, size_t> parameter_index_;
  std::map<std::string, std::vector<std::string>> other_forms_;  // of shared parameters
};

struct Imported {
  Network network;
  std::map<std::string, std::vector<float>> values;  // of its parameters
  std::vector<std::string> notes;                    // what was dropped that a user should know of
};

// The network of a file of opset 11 to 17, whose tensors are taken out of `model` as they are
// decoded. Throws UserError; of nodes that cannot be taken, one that lists all.
Imported import_model(onnx::ModelProto& model);

// The shapes of an op's outputs, with its defaults filled in; `inputs` has rank 0 where absent.
std::vector<Shape> inferred(const std::string& op, const Attributes& attributes,
                            const std::vector<Shape>& inputs);

}  // namespace thimble
