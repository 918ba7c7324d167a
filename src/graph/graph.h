#pragma once

#include <cstdint>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "base/shape.h"
#include "graph/attributes.h"

namespace thimble {

using TensorId = int32_t;
inline constexpr TensorId kNoTensor = -1;  // stands for an absent optional input or output

// f32 and bf16 tensors hold the training scalar; tests run the same graph in double and complex.
enum class ElementType : uint8_t { f32, bf16, i32, u8 };
inline bool is_scalar(ElementType type) {
  return type == ElementType::f32 || type == ElementType::bf16;
}
int64_t element_bytes(ElementType type);
const char* name_of(ElementType type);

// What a tensor is for. Everything but activations and gradients lives from step to step.
enum class Role : uint8_t {
  data,         // images, labels, the step counter: written by the training loop
  weight,       // trained parameters
  statistic,    // running statistics of normalisation
  optimizer,    // momentum, second moments
  accumulator,  // gradients of a step's microbatches, summed; not kept in files
  activation,   // made by the forward pass
  expanded,     // a sparse weight written out for the layer that reads it
  gradient,     // of a weight
  difference,   // gradient of an activation
  metric        // loss and number of correct answers: read by the training loop
};
const char* name_of(Role role);
bool is_persistent(Role role);  // keeps its value between steps
// Made by forward nodes for other nodes: may be kept for the backward pass, or made again there.
inline bool is_forward_result(Role role) {
  return role == Role::activation || role == Role::expanded;
}

// A step runs `prepare` once, then forward, backward and update once for each microbatch, then
// `finish` once. A training graph of one batch has the middle three alone.
enum class Phase : uint8_t { prepare, forward, backward, update, finish };
const char* name_of(Phase phase);
// Once a step, whatever the number of microbatches.
inline bool runs_once(Phase phase) { return phase == Phase::prepare || phase == Phase::finish; }

// How a weight or statistic gets its first value.
struct Init {
  enum class Kind : uint8_t { zeros, constant, normal, uniform };
  Kind kind = Kind::zeros;
  double value = 0;  // the constant; the standard deviation; the bound of uniform in [-b, b)
  friend bool operator==(const Init&, const Init&) = default;
};

// Indices [first, first + count) of one axis; count 0: the whole tensor.
struct ChannelRange {
  int axis = 0;
  int64_t first = 0;
  int64_t count = 0;
  bool is_whole() const { return count == 0; }
  friend bool operator==(const ChannelRange&, const ChannelRange&) = default;
};

struct Tensor {
  std::string name;  // unique in the graph; names checkpoint entries
  Shape shape;
  ElementType type = ElementType::f32;
  Role role = Role::activation;
  Init init;               // for weights and statistics
  bool trainable = false;  // for weights: an optimizer updates it
  // Of a sparse weight, of which `shape` counts the active values: that of the whole weight, which
  // it has in files of models, how many neighbouring outputs are active together, and M of N:M (1:
  // no groups). Which ones are, the tensor with kActive behind its name says, and where that is
  // asked for, the one with kExplored which ever were (ops/core/sparse.h). Rank 0: not sparse.
  Shape dense = {};
  int64_t block = 1;
  int64_t group = 1;
  // Of a trainable weight: its gradient and the optimizer's state are of these channels, and the
  // others never move.
  ChannelRange trained_part = {};
  friend bool operator==(const Tensor&, const Tensor&) = default;
};

// The shape of what an optimizer updates of a trainable weight.
Shape trained_shape(const Tensor& weight);

inline constexpr const char* kActive = ".active";
inline constexpr const char* kExplored = ".explored";

struct Node {
  std::string op;
  std::string name;               // of the layer, for people
  std::vector<TensorId> inputs;   // kNoTensor where an optional one is absent
  std::vector<TensorId> outputs;  // kNoTensor where nobody asked for it
  std::vector<TensorId> updates;  // overwritten in place: persistent ones after every reader
  Attributes attributes;
  Phase phase = Phase::forward;
  int32_t gradient_of = -1;  // of a backward node: the forward node that it belongs to
  // Forward nodes that compute one band of rows of a region of the network stand together. What
  // they make is made again, band by band, just before its gradients. Numbered from 1; 0: none.
  int32_t region = 0;
  int32_t band = 0;
  friend bool operator==(const Node&, const Node&) = default;
};

// One training (or evaluation) step. A plain value: nodes stand in an order in which every tensor
// is made before it is read.
struct Graph {
  std::string name;
  std::vector<Tensor> tensors;
  std::vector<Node> nodes;
  int64_t microbatches = 1;  // of a step; tensors have the size of one

  TensorId add_tensor(Tensor tensor);  // makes the name unique by a suffix
  const Tensor& tensor(TensorId id) const { return tensors[static_cast<size_t>(id)]; }
  Tensor& tensor(TensorId id) { return tensors[static_cast<size_t>(id)]; }
  TensorId find(std::string_view name) const;  // kNoTensor when there is none

  friend bool operator==(const Graph&, const Graph&) = default;
};

// ` trained 8:16 of axis 1`; nothing for a whole tensor.
std::ostream& operator<<(std::ostream& out, const ChannelRange& range);

// One line a node: `conv2d stem.conv [stride=2,2] (images, stem.conv.weight) -> (stem.conv)`.
std::ostream& operator<<(std::ostream& out, const Graph& graph);

// Throws InternalError unless: ids are in range, names unique, each transient tensor is made once
// and before it is read, no later node reads a persistent tensor that was updated, nothing
// transient crosses the ends of a microbatch, and trained channels are some of a weight's.
void verify(const Graph& graph);

}  // namespace thimble
