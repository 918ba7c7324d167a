#include "backends/through_float.h"

#include <algorithm>

#include "base/bf16.h"
#include "base/bytes.h"
#include "base/parallel.h"

namespace thimble {
namespace {

constexpr int64_t kScratchAlignment = 64;

// A bf16 argument and its place in scratch.
struct Converted {
  size_t argument = 0;
  int64_t elements = 0;
  int64_t offset = 0;  // bytes
};

class ThroughFloat : public Kernel {
 public:
  ThroughFloat(std::shared_ptr<const Kernel> kernel, std::vector<Converted> inputs,
               std::vector<Converted> outputs, int64_t inner_scratch_offset)
      : kernel_(std::move(kernel)),
        inputs_(std::move(inputs)),
        outputs_(std::move(outputs)),
        inner_scratch_offset_(inner_scratch_offset) {}

  std::unique_ptr<BoundKernel> bind(const KernelBuffers& b) const override {
    auto* scratch = static_cast<std::byte*>(b.scratch);
    std::vector<void*> in(b.inputs.begin(), b.inputs.end());
    std::vector<void*> out(b.outputs.begin(), b.outputs.end());
    for (const Converted& c : inputs_) in[c.argument] = scratch + c.offset;
    for (const Converted& c : outputs_) out[c.argument] = scratch + c.offset;
    auto inner = kernel_->bind({in, out, scratch + inner_scratch_offset_});
    std::vector<const Bf16*> from;
    std::vector<Bf16*> to;
    for (const Converted& c : inputs_) from.push_back(static_cast<Bf16*>(b.inputs[c.argument]));
    for (const Converted& c : outputs_) to.push_back(static_cast<Bf16*>(b.outputs[c.argument]));
    return bound(
        [this, scratch, inner = std::move(inner), from = std::move(from), to = std::move(to)] {
          for (size_t i = 0; i < from.size(); ++i) {
            auto* wide = reinterpret_cast<float*>(scratch + inputs_[i].offset);
            parallel_for(inputs_[i].elements, kParallelGrain, [&](int64_t begin, int64_t end) {
              for (int64_t k = begin; k < end; ++k) wide[k] = float_of(from[i][k]);
            });
          }
          inner->run();
          for (size_t i = 0; i < to.size(); ++i) {
            const auto* wide = reinterpret_cast<const float*>(scratch + outputs_[i].offset);
            parallel_for(outputs_[i].elements, kParallelGrain, [&](int64_t begin, int64_t end) {
              for (int64_t k = begin; k < end; ++k) to[i][k] = bf16_of(wide[k]);
            });
          }
        });
  }

 private:
  std::shared_ptr<const Kernel> kernel_;
  std::vector<Converted> inputs_, outputs_;
  int64_t inner_scratch_offset_;
};

// The node and its tensors by themselves, all numbers in f32.
struct Alone {
  Graph graph;
  Node node;
  std::vector<Layout> layouts;
  std::vector<TensorId> from;  // by tensor

  Alone(const Graph& whole, const Node& n, const std::vector<Layout>& all) : node(n) {
    for (auto* ids : {&node.inputs, &node.outputs, &node.updates}) {
      for (TensorId& t : *ids) {
        if (t != kNoTensor) t = copied(whole, t, all);
      }
    }
  }

 private:
  TensorId copied(const Graph& whole, TensorId t, const std::vector<Layout>& all) {
    const auto known = std::find(from.begin(), from.end(), t);
    if (known != from.end()) return static_cast<TensorId>(known - from.begin());
    Tensor tensor = whole.tensor(t);
    if (tensor.type == ElementType::bf16) tensor.type = ElementType::f32;
    graph.tensors.push_back(std::move(tensor));
    layouts.push_back(all[static_cast<size_t>(t)]);
    from.push_back(t);
    return static_cast<TensorId>(from.size()) - 1;
  }
};

}  // namespace

bool touches_bf16(const Graph& graph, const Node& node) {
  const auto is_bf16 = [&](TensorId t) {
    return t != kNoTensor && graph.tensor(t).type == ElementType::bf16;
  };
  return std::any_of(node.inputs.begin(), node.inputs.end(), is_bf16) ||
         std::any_of(node.outputs.begin(), node.outputs.end(), is_bf16);
}

KernelChoice choose_through_float(const Graph& graph, const Node& node,
                                  const std::vector<Layout>& layouts, const ChooseKernel& choose) {
  const Alone alone(graph, node, layouts);
  KernelChoice choice = choose(alone.graph, alone.node, alone.layouts);
  int64_t bytes = 0;
  const auto converted = [&](const std::vector<TensorId>& ids, const std::vector<Layout>& wanted) {
    std::vector<Converted> list;
    for (size_t i = 0; i < ids.size(); ++i) {
      if (ids[i] == kNoTensor || graph.tensor(ids[i]).type != ElementType::bf16) continue;
      list.push_back({i, wanted[i].elements, bytes});
      bytes += round_up(wanted[i].elements * int64_t{sizeof(float)}, kScratchAlignment);
    }
    return list;
  };
  auto inputs = converted(node.inputs, choice.inputs);
  auto outputs = converted(node.outputs, choice.outputs);
  choice.kernel = std::make_shared<ThroughFloat>(std::move(choice.kernel), std::move(inputs),
                                                 std::move(outputs), bytes);
  choice.scratch_bytes += bytes;
  choice.implementation += " through float";
  return choice;
}

}  // namespace thimble
