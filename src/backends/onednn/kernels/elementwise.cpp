#include "backends/onednn/onednn.h"
#include "backends/onednn/vector/vector.h"
#include "backends/portable/portable.h"
#include "base/parallel.h"

// The elementwise ops that every step runs over every weight or skip connection, with the widest
// vectors of this processor. Layout and buffers are those of the portable kernel.

namespace thimble::onednn {
namespace {

template <class S>
class AddKernel : public Kernel {
 public:
  explicit AddKernel(int64_t count) : count_(count) {}
  std::unique_ptr<BoundKernel> bind(const KernelBuffers& buffers) const override {
    const auto* a = static_cast<const S*>(buffers.inputs[0]);
    const auto* b = static_cast<const S*>(buffers.inputs[1]);
    auto* dst = static_cast<S*>(buffers.outputs[0]);
    return bound([a, b, dst, count = count_] {
      parallel_for(count, kParallelGrain, [&](int64_t begin, int64_t end) {
        vector::kernels().of<S>().add(a + begin, b + begin, dst + begin, end - begin);
      });
    });
  }

 private:
  int64_t count_;
};

class SgdKernel : public Kernel {
 public:
  SgdKernel(int64_t count, const Attributes& a)
      : count_(count),
        momentum_(static_cast<float>(a.real("momentum"))),
        decay_(static_cast<float>(a.real("weight_decay"))) {}
  std::unique_ptr<BoundKernel> bind(const KernelBuffers& b) const override {
    const auto* diff = static_cast<const float*>(b.inputs[1]);
    const auto* lr = static_cast<const float*>(b.inputs[2]);
    auto* weights = static_cast<float*>(b.outputs[0]);
    auto* velocity = static_cast<float*>(b.outputs[1]);
    return bound([this, diff, lr, weights, velocity] {
      parallel_for(count_, kParallelGrain, [&](int64_t begin, int64_t end) {
        vector::kernels().sgd_momentum(weights + begin, diff + begin, velocity + begin, *lr,
                                       momentum_, decay_, end - begin);
      });
    });
  }

 private:
  int64_t count_;
  float momentum_, decay_;
};

std::optional<KernelChoice> choose_add(const Context& c) {
  KernelChoice choice = choose_portable(c.graph, c.node, c.layouts);
  choice.implementation = vector::kernels().name;
  const int64_t count = choice.outputs[0].elements;
  if (c.in_type(0) == ElementType::bf16) {
    choice.kernel = std::make_shared<AddKernel<Bf16>>(count);
  } else {
    choice.kernel = std::make_shared<AddKernel<float>>(count);
  }
  return choice;
}

std::optional<KernelChoice> choose_sgd(const Context& c) {
  const Attributes& a = c.node.attributes;
  if (!c.has(kOptimizerStateInput) || a.integer("nesterov") != 0) return std::nullopt;
  KernelChoice choice = choose_portable(c.graph, c.node, c.layouts);
  choice.implementation = vector::kernels().name;
  choice.kernel = std::make_shared<SgdKernel>(choice.outputs[0].elements, a);
  return choice;
}

}  // namespace

void define_fast_elementwise(Choosers& choosers) {
  choosers["add"] = choose_add;
  choosers["sgd"] = choose_sgd;
}

}  // namespace thimble::onednn
