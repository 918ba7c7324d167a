#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "graph/graph.h"
#include "ops/core/kernel.h"

namespace thimble {

class GradientBuilder;

// What shape functions see of a node: its attributes and its inputs' shapes. An absent optional
// input has rank 0.
struct OpShapes {
  const Attributes& attributes;
  std::vector<Shape> inputs;
  bool has(size_t i) const { return i < inputs.size() && inputs[i].rank() > 0; }
  Shape shape(size_t i) const { return i < inputs.size() ? inputs[i] : Shape{}; }
};

struct AttributeSpec {
  std::string name;
  AttributeValue initial;  // the default
  std::string help;
};

struct Port {
  std::string name;  // oneDNN's words: src, weights, dst, diff_dst, ...
  bool optional = false;
};

struct TensorSpec {
  Shape shape;  // rank 0: the node does not make this output
  // Nothing: a number like those of the activations that come in, f32 or bf16.
  std::optional<ElementType> type = {};
};

// A weight or running statistic that a layer of this op owns; the builder makes it.
struct Parameter {
  size_t input;        // the input port that it feeds
  std::string suffix;  // appended to the layer's name: "weight", "running_mean"
  Shape shape;
  Init init;
  Role role = Role::weight;
};

// Backward may read these inputs and outputs of the forward node and no others.
struct Saves {
  std::vector<size_t> inputs;
  std::vector<size_t> outputs;
};

// The kernel may write this output over this input (same shape, same bytes).
struct InPlacePair {
  size_t input;
  size_t output;
};

// An input that lies in memory as 8-bit blocks of the layout that an elementwise op's tensors share
// (ops/core/small_state.h).
struct SmallInput {
  size_t input;
  bool is_signed;
};

struct AccumulatingOptimizer {
  std::string begin;   // (weights, state) before the first gradient is added
  std::string finish;  // (weights, state, lr) after the last one
};

// Ops that move a tensor between memory and the page file (base/page_file.h), asynchronously: two
// nodes for each direction, and between them the tensor's memory is in use. They know bytes alone,
// so that they run on every layout and no backend has them (backends/paging.h).
enum class Paging : uint8_t { none, start_write, end_write, start_read, end_read };

// How an output pixel depends on input pixels, for row bands and patches.
struct Spatial {
  enum class Kind : uint8_t { none, pointwise, window, global };
  Kind kind = Kind::none;
  std::vector<int64_t> kernel, stride, padding, dilation;  // of a window: (H, W); top, left, ...
};

// How an input can be had again once the outputs are there.
struct Inverse {
  // Its output 0 is the input. It reads outputs, other inputs and parameters of the forward node;
  // its outputs are not filled in. It may make a tensor that the op's backward node reads under the
  // same port name ("mask"), where that would otherwise ask the input itself.
  std::optional<Node> node = {};
  std::string refusal = {};  // why there is none
  // By how many dB the ratio of signal to noise of what comes out is predicted to lie below that of
  // what it reads: it divides, and errors come out larger (ops/core/signal_loss.h).
  double loss_db = 0;
  bool rounds = false;  // it computes, so that float rounding makes errors of its own
};

// Everything known about one op. Forward, backward and update ops alike; an op and the ops of its
// gradient stand in one file, src/ops/<op>.cpp, which defines `void define_<op>(OpTable&)`.
struct OpDef {
  std::string name;
  std::string summary;  // one sentence, for `thimble list ops`
  std::vector<AttributeSpec> attributes;
  std::vector<Port> inputs;  // a last port called "..." takes any number
  std::vector<Port> outputs;

  // The outputs' shapes and types. Throws UserError that names the shapes that came.
  std::function<std::vector<TensorSpec>(const OpShapes&)> infer;
  // The parameters of a layer of this op; null when it has none.
  std::function<std::vector<Parameter>(const OpShapes&)> parameters;
  // Inputs that the kernel overwrites (running statistics, weights); null when none.
  std::function<std::vector<size_t>(const OpShapes&)> updates;
  // Emits the nodes that compute the inputs' gradients; null when the op has no gradient.
  std::function<void(GradientBuilder&)> gradient;
  std::function<Saves(const OpShapes&)> saves;  // null: nothing
  std::vector<InPlacePair> in_place;
  // Of an optimizer: ops that do its step around gradients that are added, one by one, into its
  // state (input kOptimizerStateInput). Nothing when its attributes do not allow that.
  std::function<std::optional<AccumulatingOptimizer>(const Attributes&)> accumulating;
  // Backward ops that read two gradients only as their sum: the inputs' places. The second may be
  // absent. {0, 0}: there is no such pair.
  std::pair<size_t, size_t> summed_inputs = {0, 0};
  // Of two inputs: output 0 is the sum of both, each times its sign. Nothing: another op.
  std::optional<std::array<double, 2>> sum_signs = {};
  // The op that makes output 0 where its last input lies, times attribute "sign", and adds it to
  // that (transforms/sum_in_place.h). Empty: there is none.
  std::string sum_form = {};
  // The node that makes output 0 of a forward node once more, to the same bits, from its inputs and
  // its other outputs, and that updates nothing. null: the node itself does.
  std::function<Node(const Node&)> replay;
  // That input again, from the outputs and the other inputs; null: no input can be had so.
  std::function<Inverse(const Graph&, const Node&, size_t input)> inverse;
  // The mean square of output 0's elements as the model begins, from those of the inputs' (1 of
  // absent ones and parameters); null: that of input 0 (ops/core/signal_power.h).
  std::function<double(const Graph&, const Node&, const std::vector<double>& in)> power;
  // Of an inverse that divides: the node whose output 0 is by how many dB it is predicted to lose,
  // of parameters and statistics as they are. null: what Inverse::loss_db says.
  std::function<Node(const Node&)> predicted_loss;
  // Output 0 is best made as its first reader wants it to lie in memory.
  bool follows_reader = false;
  Paging paging = Paging::none;  // then `kernels` are empty
  // Each output element depends only on the same element of the inputs that have its shape, zero
  // gives zero, and any other input is one value: the kernel then runs on every memory layout.
  bool elementwise = false;
  std::vector<SmallInput> small;                            // of an elementwise op
  std::function<Spatial(const Attributes&)> spatial;        // null: Spatial{}
  std::function<int64_t(const OpShapes&)> flops;            // null: one per output element
  std::function<int64_t(const OpShapes&)> scratch_scalars;  // of the portable kernel; null: 0
  PortableKernels kernels;
};

// An optimizer is an op that updates weights: inputs (weights, diff_weights, lr, counter,
// state...).
inline constexpr size_t kOptimizerStateInput = 4;
// One of those; an op that only gathers gradients has updates too, but no learning rate.
bool moves_weights(const OpDef& op);

class OpTable {
 public:
  // Cold, and with it the functions that only lead here: they run once, kernels beside them often.
  [[gnu::cold]] void add(OpDef def);
  const OpDef* find(std::string_view name) const;
  const std::vector<OpDef>& all() const { return defs_; }

 private:
  std::vector<OpDef> defs_;
};

// All ops of src/ops, in the order of their files' names.
const OpTable& op_table();
// Throws UserError with the nearest names when there is no such op.
const OpDef& find_op(std::string_view name);

OpShapes shapes_of(const Graph& graph, const Node& node);
// Of the numbers that come in: those of the first activation or gradient of one; f32 without any.
ElementType type_of_inputs(const Graph& graph, const Node& node);
Saves saves_of(const Graph& graph, const Node& node);
int64_t flops_of(const Graph& graph, const Node& node);
int64_t scratch_scalars_of(const Graph& graph, const Node& node);

}  // namespace thimble
