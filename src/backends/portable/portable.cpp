#include "backends/portable/portable.h"

#include <algorithm>
#include <array>

#include "backends/small_layout.h"
#include "backends/through_float.h"

namespace thimble {
namespace {

class PortableRunner : public Kernel {
 public:
  PortableRunner(PortableKernel kernel, Attributes attributes, std::vector<TensorArg> inputs,
                 std::vector<TensorArg> outputs)
      : kernel_(kernel),
        attributes_(std::move(attributes)),
        inputs_(std::move(inputs)),
        outputs_(std::move(outputs)) {
    own_shapes();
  }
  PortableRunner(const PortableRunner&) = delete;
  PortableRunner& operator=(const PortableRunner&) = delete;

  std::unique_ptr<BoundKernel> bind(const KernelBuffers& buffers) const override {
    // Addresses alone: a plan binds hundreds of kernels. The arguments are put together by `run`.
    const size_t count = inputs_.size() + outputs_.size();
    auto addresses = std::make_unique<void*[]>(count);
    const auto outputs = std::copy_n(buffers.inputs.begin(), inputs_.size(), addresses.get());
    std::copy_n(buffers.outputs.begin(), outputs_.size(), outputs);
    // A concatenation may have any number of inputs.
    std::vector<TensorArg> many(count > kFew ? count : 0);
    return bound([this, count, addresses = std::move(addresses), many = std::move(many),
                  scratch = buffers.scratch]() mutable {
      if (!many.empty()) return run(many, addresses.get(), scratch);
      std::array<TensorArg, kFew> few;
      run({few.data(), count}, addresses.get(), scratch);
    });
  }

 private:
  static constexpr size_t kFew = 16;

  void run(std::span<TensorArg> args, void* const* addresses, void* scratch) const {
    std::copy(outputs_.begin(), outputs_.end(),
              std::copy(inputs_.begin(), inputs_.end(), args.begin()));
    for (size_t i = 0; i < args.size(); ++i) args[i].data = addresses[i];
    kernel_({attributes_, args.first(inputs_.size()), args.subspan(inputs_.size()), scratch});
  }

  // The graph's shapes go with it. Each is held once: most tensors of a node have one of two or
  // three, and a plan holds hundreds of kernels.
  void own_shapes() {
    std::vector<Shape> distinct;
    const auto each = [&](const auto& visit) {
      for (auto* args : {&inputs_, &outputs_}) {
        for (TensorArg& arg : *args)
          visit(arg, std::find(distinct.begin(), distinct.end(), *arg.shape));
      }
    };
    each([&](TensorArg& arg, auto found) {
      if (found == distinct.end()) distinct.push_back(*arg.shape);
    });
    shapes_ = {distinct.begin(), distinct.end()};
    each([&](TensorArg& arg, auto found) {
      arg.shape = &shapes_[static_cast<size_t>(found - distinct.begin())];
    });
  }

  PortableKernel kernel_;
  Attributes attributes_;
  std::vector<Shape> shapes_;      // what the arguments point to
  std::vector<TensorArg> inputs_;  // without addresses
  std::vector<TensorArg> outputs_;
};

// The layout that all full-size tensors of an elementwise node share: of the first that has one.
Layout shared_layout(const Graph& graph, const std::vector<TensorId>& tensors, const Shape& shape,
                     const std::vector<Layout>& layouts) {
  for (TensorId t : tensors) {
    if (t == kNoTensor || graph.tensor(t).shape != shape) continue;
    const Layout& layout = layouts[static_cast<size_t>(t)];
    if (layout.decided()) return layout;
  }
  return plain_layout(shape);
}

}  // namespace

KernelChoice choose_portable(const Graph& graph, const Node& node,
                             const std::vector<Layout>& layouts) {
  const OpDef& def = find_op(node.op);
  std::vector<TensorId> results = node.outputs;
  results.insert(results.end(), node.updates.begin(), node.updates.end());
  const Shape full =
      results.empty() || results[0] == kNoTensor ? Shape{} : graph.tensor(results[0]).shape;
  const auto small = [&](TensorId t) {
    return std::find_if(def.small.begin(), def.small.end(),
                        [&](const SmallInput& s) { return node.inputs[s.input] == t; });
  };
  std::vector<TensorId> sharing = node.inputs;
  std::erase_if(sharing, [&](TensorId t) { return small(t) != def.small.end(); });
  const Layout shared =
      def.elementwise ? shared_layout(graph, sharing, full, layouts) : plain_layout(full);
  KernelChoice choice;
  const auto prepare = [&](const std::vector<TensorId>& ids, std::vector<Layout>& wanted) {
    std::vector<TensorArg> args;
    args.reserve(ids.size());
    for (TensorId t : ids) {
      if (t == kNoTensor) {
        args.emplace_back();
        wanted.emplace_back();
        continue;
      }
      const Tensor& tensor = graph.tensor(t);
      const bool same = def.elementwise && tensor.shape == full;
      const auto in_blocks = small(t);
      wanted.push_back(in_blocks != def.small.end() ? layout_of({shared, in_blocks->is_signed})
                       : same                       ? shared
                                                    : plain_layout(tensor.shape));
      args.push_back({nullptr, &tensor.shape, tensor.type, wanted.back().elements});
    }
    return args;
  };
  std::vector<TensorArg> inputs = prepare(node.inputs, choice.inputs);
  std::vector<TensorArg> outputs = prepare(results, choice.outputs);
  choice.scratch_bytes = scratch_scalars_of(graph, node) * int64_t{sizeof(float)};
  choice.implementation = "portable";
  choice.kernel = std::make_shared<PortableRunner>(def.kernels.f32, node.attributes,
                                                   std::move(inputs), std::move(outputs));
  return choice;
}

KernelChoice PortableBackend::choose(const Graph& graph, const Node& node,
                                     const std::vector<Layout>& layouts) {
  return touches_bf16(graph, node) ? choose_through_float(graph, node, layouts, choose_portable)
                                   : choose_portable(graph, node, layouts);
}

KernelChoice PortableBackend::reorder(const Shape& shape, ElementType, const Layout& from,
                                      const Layout& to) {
  if (small_layout(from) || small_layout(to)) return reorder_small(*this, shape, from, to);
  throw InternalError(str_cat("the portable backend has one layout, asked to bring ", shape,
                              " from ", from.tag, " to ", to.tag));
}

}  // namespace thimble
