#pragma once

#include <string>
#include <vector>

#include "ops/core/op.h"

namespace thimble {

// Appends a node to `graph`: fills in default attributes, checks the inputs, infers the outputs
// and makes their tensors, named after the layer. UserError when the op does not take this.
// Returns the outputs (kNoTensor for those that the node does not make).
std::vector<TensorId> append_node(Graph& graph, Phase phase, const std::string& op,
                                  const std::string& name, std::vector<TensorId> inputs,
                                  const Attributes& attributes = {},
                                  const std::vector<bool>& wanted_outputs = {});

// What the ops that cut or fill a range of channels read: "axis", "begin", "end".
Attributes attributes_of(const ChannelRange& range);

// Builds a forward graph, layer by layer.
//
//   GraphBuilder b("net");
//   TensorId x = b.images({16, 1, 28, 28});
//   x = b.layer("conv2d", "conv1", {x}, {{"out_channels", 8}, {"kernel", {3, 3}}});
class GraphBuilder {
 public:
  explicit GraphBuilder(std::string name) { graph_.name = std::move(name); }

  TensorId images(const Shape& shape);  // (N, C, H, W), tensor "images"
  TensorId labels(int64_t batch);       // (N), tensor "labels": class indices, -1 to ignore

  // A node with its own weights: parameters that `inputs` leave out are made and initialised, and
  // are called `<name>.weight` and the like. Returns output 0.
  TensorId layer(const std::string& op, const std::string& name, std::vector<TensorId> inputs,
                 const Attributes& attributes = {});
  std::vector<TensorId> layer_outputs(const std::string& op, const std::string& name,
                                      std::vector<TensorId> inputs,
                                      const Attributes& attributes = {});

  const Shape& shape(TensorId id) const { return graph_.tensor(id).shape; }
  Graph& graph() { return graph_; }
  // Ends a classifier: softmax cross-entropy of `logits` against labels; metrics "loss" and
  // "correct". Marks `logits` so that evaluation can find it.
  void classify(TensorId logits, double label_smoothing = 0);

 private:
  TensorId counter();  // the step counter that random ops read, made on first use
  Graph graph_;
};

// Attribute lists are integers as people write them.
inline AttributeValue ints(std::vector<int64_t> values) { return values; }

// Two equal values for height and width.
inline AttributeValue both(int64_t value) { return std::vector<int64_t>{value, value}; }

}  // namespace thimble
