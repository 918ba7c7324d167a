#pragma once

#include <string>
#include <vector>

#include "ops/core/op.h"

namespace thimble {

// What an op's `gradient` function works with: the forward node, the gradients that reached its
// outputs, and a way to append backward nodes.
class GradientBuilder {
 public:
  // `diff_input_parts` has, by input, the gradients that other readers of it sent so far.
  GradientBuilder(Graph& graph, const Node& node, std::vector<std::vector<TensorId>> diff_outputs,
                  std::vector<bool> wanted,
                  std::vector<std::vector<TensorId>*> diff_input_parts = {});

  const Attributes& attributes() const { return node_.attributes; }
  const std::string& layer() const { return node_.name; }
  bool has_input(size_t i) const;
  const Shape& input_shape(size_t i) const;  // shapes are free; values must be saved
  const Shape& output_shape(size_t i) const;
  ElementType input_type(size_t i) const;
  size_t input_count() const { return node_.inputs.size(); }

  // True when somebody needs the gradient of input `i`: do not compute what nobody reads.
  bool wants(size_t i) const { return i < wanted_.size() && wanted_[i]; }

  // The forward node's tensors. InternalError unless the op's `saves` lists them.
  TensorId input(size_t i) const;
  TensorId output(size_t i) const;

  // Of a weight at input `i`: the channels whose gradient is wanted.
  const ChannelRange& trained_part(size_t i) const;
  // Those channels of input `i`, made by a forward node in front of this one: the rest of the input
  // is not kept.
  TensorId saved_channels(size_t i, const ChannelRange& channels);

  // The gradient of output `i`: kNoTensor when nothing depends on it (or when it is the loss
  // itself, whose gradient is one). Sums several parts with `add` nodes.
  TensorId diff_output(size_t i = 0);
  // The same, not summed: for ops whose backward kernel sums on the way.
  const std::vector<TensorId>& diff_output_parts(size_t i = 0) const { return diff_outputs_[i]; }

  // The gradient that other readers of input `i` sent so far; kNoTensor when none did. It is this
  // node's from now on: the gradient that it sets stands for both.
  TensorId take_diff_input(size_t i);

  // Appends a backward node. `wanted_outputs[k]` false leaves output k absent.
  std::vector<TensorId> emit(const std::string& op, std::vector<TensorId> inputs,
                             Attributes attributes = {}, std::vector<bool> wanted_outputs = {});

  // A gradient has the type of what it is the gradient of. Of a weight that is trained in part it
  // may be the part's, or is cut here.
  void set_diff_input(size_t i, TensorId diff);
  const std::vector<TensorId>& diff_inputs() const { return diff_inputs_; }

 private:
  TensorId sum(std::vector<TensorId>& parts);

  Graph& graph_;
  const Node node_;  // a copy: emit() grows the graph
  Saves saves_;
  std::vector<std::vector<TensorId>> diff_outputs_;
  std::vector<bool> wanted_;
  std::vector<TensorId> diff_inputs_;
  std::vector<std::vector<TensorId>*> diff_input_parts_;
};

}  // namespace thimble
