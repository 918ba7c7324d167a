#include "transforms/bf16.h"

#include <algorithm>

#include "ops/core/builder.h"
#include "transforms/core/technique.h"

namespace thimble {
namespace {

size_t at(TensorId t) { return static_cast<size_t>(t); }

// Rewrites a forward graph node by node.
class Rewriter {
 public:
  explicit Rewriter(const Graph& forward)
      : from_(forward),
        cast_to_f32_(forward.tensors.size(), kNoTensor),
        of_weights_(forward.tensors.size()) {
    cast_to_bf16_ = cast_to_f32_;
    to_.name = forward.name;
    to_.microbatches = forward.microbatches;
    to_.tensors = forward.tensors;
  }

  Graph run() {
    for (const Node& node : from_.nodes) add(node);
    verify(to_);
    return std::move(to_);
  }

 private:
  void add(Node node) {
    const std::vector<TensorSpec> specs = find_op(node.op).infer(shapes_of(to_, node));
    bool follows = false;  // its result is a number like those that come in
    for (size_t i = 0; i < node.outputs.size(); ++i) {
      follows = follows || (node.outputs[i] != kNoTensor && !specs[i].type);
    }
    const bool narrow = follows && node.op != "linear" && reads_narrow(node);
    const ElementType type = narrow ? ElementType::bf16 : ElementType::f32;
    for (TensorId& t : node.inputs) {
      if (is_number(t)) t = as(type, t);
    }
    const bool reads_numbers = std::any_of(node.inputs.begin(), node.inputs.end(),
                                           [&](TensorId t) { return is_number(t); });
    for (size_t i = 0; i < node.outputs.size(); ++i) {
      if (node.outputs[i] != kNoTensor) of_weights_[at(node.outputs[i])] = !reads_numbers;
      if (node.outputs[i] != kNoTensor && !specs[i].type) to_.tensor(node.outputs[i]).type = type;
    }
    to_.nodes.push_back(std::move(node));
  }

  // An image or an activation; not a weight or what is made of weights alone, a statistic or a
  // label.
  bool is_number(TensorId t) const {
    if (t == kNoTensor || !is_scalar(to_.tensor(t).type)) return false;
    if (at(t) < of_weights_.size() && of_weights_[at(t)]) return false;
    return to_.tensor(t).role == Role::activation || to_.tensor(t).role == Role::data;
  }

  // The first number decides: images, and what is made of them.
  bool reads_narrow(const Node& node) const {
    for (TensorId t : node.inputs) {
      if (!is_number(t)) continue;
      return to_.tensor(t).role == Role::data || to_.tensor(t).type == ElementType::bf16;
    }
    return false;
  }

  // The tensor itself, or a cast of it that all readers share.
  TensorId as(ElementType type, TensorId t) {
    if (to_.tensor(t).type == type) return t;
    TensorId& cast = (type == ElementType::bf16 ? cast_to_bf16_ : cast_to_f32_)[at(t)];
    if (cast == kNoTensor) {
      cast =
          append_node(to_, Phase::forward, "cast", str_cat(to_.tensor(t).name, ".", name_of(type)),
                      {t}, {{"to", std::string(name_of(type))}})[0];
    }
    return cast;
  }

  const Graph& from_;
  Graph to_;
  std::vector<TensorId> cast_to_f32_, cast_to_bf16_;  // by tensor
  std::vector<bool> of_weights_;                      // by tensor of the original graph
};

}  // namespace

Graph use_bf16(const Graph& forward) { return Rewriter(forward).run(); }

const Technique& technique_bf16() {
  static const Technique technique = {
      .name = "bf16",
      .summary = "Activations are computed and kept in bfloat16, beside weights in f32",
      .paper = "A Study of BFLOAT16 for Deep Learning Training, arXiv 1905.12322",
      .stage = Technique::Stage::forward,
      .allowance = "bf16",
      .accepts = "compute and keep activations in bfloat16, of 8 significant bits",
      .promise = [](const Graph&) { return Promise::approximate; },
      .evaluates = true,
      .apply =
          [](const Graph& forward, int64_t) {
            return Rewrite{use_bf16(forward), ""};
          }};
  return technique;
}

}  // namespace thimble
