#include "ops/core/gradient.h"

#include <algorithm>

#include "ops/core/builder.h"

namespace thimble {

GradientBuilder::GradientBuilder(Graph& graph, const Node& node,
                                 std::vector<std::vector<TensorId>> diff_outputs,
                                 std::vector<bool> wanted,
                                 std::vector<std::vector<TensorId>*> diff_input_parts)
    : graph_(graph),
      node_(node),
      saves_(saves_of(graph, node)),
      diff_outputs_(std::move(diff_outputs)),
      wanted_(std::move(wanted)),
      diff_inputs_(node.inputs.size(), kNoTensor),
      diff_input_parts_(std::move(diff_input_parts)) {}

bool GradientBuilder::has_input(size_t i) const {
  return i < node_.inputs.size() && node_.inputs[i] != kNoTensor;
}

const Shape& GradientBuilder::input_shape(size_t i) const {
  return graph_.tensor(node_.inputs[i]).shape;
}

const Shape& GradientBuilder::output_shape(size_t i) const {
  return graph_.tensor(node_.outputs[i]).shape;
}

ElementType GradientBuilder::input_type(size_t i) const {
  return graph_.tensor(node_.inputs[i]).type;
}

TensorId GradientBuilder::input(size_t i) const {
  const auto& s = saves_.inputs;
  ensure(std::find(s.begin(), s.end(), i) != s.end(), "the gradient of ", node_.op, " reads input ",
         i, ", which its `saves` does not list");
  return node_.inputs[i];
}

TensorId GradientBuilder::output(size_t i) const {
  const auto& s = saves_.outputs;
  ensure(std::find(s.begin(), s.end(), i) != s.end(), "the gradient of ", node_.op,
         " reads output ", i, ", which its `saves` does not list");
  return node_.outputs[i];
}

const ChannelRange& GradientBuilder::trained_part(size_t i) const {
  return graph_.tensor(node_.inputs[i]).trained_part;
}

TensorId GradientBuilder::saved_channels(size_t i, const ChannelRange& channels) {
  const std::string name = str_cat(graph_.tensor(input(i)).name, ".kept");
  return append_node(graph_, Phase::forward, "slice", name, {input(i)}, attributes_of(channels))[0];
}

TensorId GradientBuilder::diff_output(size_t i) { return sum(diff_outputs_[i]); }

TensorId GradientBuilder::take_diff_input(size_t i) {
  if (i >= diff_input_parts_.size() || diff_input_parts_[i] == nullptr) return kNoTensor;
  const TensorId all = sum(*diff_input_parts_[i]);
  diff_input_parts_[i]->clear();
  return all;
}

TensorId GradientBuilder::sum(std::vector<TensorId>& parts) {
  while (parts.size() > 1) {
    const TensorId sum =
        append_node(graph_, Phase::backward, "add", node_.name, {parts[0], parts[1]})[0];
    parts.erase(parts.begin());
    parts[0] = sum;
  }
  return parts.empty() ? kNoTensor : parts[0];
}

std::vector<TensorId> GradientBuilder::emit(const std::string& op, std::vector<TensorId> inputs,
                                            Attributes attributes,
                                            std::vector<bool> wanted_outputs) {
  return append_node(graph_, Phase::backward, op, node_.name, std::move(inputs), attributes,
                     wanted_outputs);
}

void GradientBuilder::set_diff_input(size_t i, TensorId diff) {
  ensure(has_input(i), node_.op, " set the gradient of absent input ", i);
  const Tensor& of = graph_.tensor(node_.inputs[i]);
  // Also that of an f32 weight which was used beside bf16 activations.
  graph_.tensor(diff).type = of.type;
  const Shape needed = trained_shape(of);
  if (needed != of.shape && graph_.tensor(diff).shape == of.shape) {
    diff = emit("slice", {diff}, attributes_of(of.trained_part))[0];
  }
  ensure(graph_.tensor(diff).shape == needed, node_.op, " gives input ", i, " of shape ", needed,
         " a gradient of shape ", graph_.tensor(diff).shape);
  diff_inputs_[i] = diff;
}

}  // namespace thimble
