#include "backends/onednn/onednn.h"
#include "backends/onednn/vector/vector.h"
#include "backends/portable/portable.h"
#include "base/parallel.h"

// The elementwise ops that every step runs over every weight or skip connection, with the widest
// vectors of this processor. Layout and buffers are those of the portable kernel.

namespace thimble::onednn {
namespace {

class AddKernel : public Kernel {
 public:
  explicit AddKernel(int64_t count) : count_(count) {}
  void bind(const KernelBuffers& b) override {
    a_ = static_cast<const float*>(b.inputs[0]);
    b_ = static_cast<const float*>(b.inputs[1]);
    dst_ = static_cast<float*>(b.outputs[0]);
  }
  void run() override {
    parallel_for(count_, kParallelGrain, [&](int64_t begin, int64_t end) {
      vector::kernels().add(a_ + begin, b_ + begin, dst_ + begin, end - begin);
    });
  }

 private:
  int64_t count_;
  const float* a_ = nullptr;
  const float* b_ = nullptr;
  float* dst_ = nullptr;
};

class SgdKernel : public Kernel {
 public:
  SgdKernel(int64_t count, const Attributes& a)
      : count_(count),
        momentum_(static_cast<float>(a.real("momentum"))),
        decay_(static_cast<float>(a.real("weight_decay"))) {}
  void bind(const KernelBuffers& b) override {
    diff_ = static_cast<const float*>(b.inputs[1]);
    lr_ = static_cast<const float*>(b.inputs[2]);
    weights_ = static_cast<float*>(b.outputs[0]);
    velocity_ = static_cast<float*>(b.outputs[1]);
  }
  void run() override {
    parallel_for(count_, kParallelGrain, [&](int64_t begin, int64_t end) {
      vector::kernels().sgd_momentum(weights_ + begin, diff_ + begin, velocity_ + begin, *lr_,
                                     momentum_, decay_, end - begin);
    });
  }

 private:
  int64_t count_;
  float momentum_, decay_;
  const float* diff_ = nullptr;
  const float* lr_ = nullptr;
  float* weights_ = nullptr;
  float* velocity_ = nullptr;
};

std::optional<KernelChoice> choose_add(const Context& c) {
  KernelChoice choice = choose_portable(c.graph, c.node, c.layouts);
  choice.implementation = vector::kernels().name;
  choice.kernel = std::make_shared<AddKernel>(choice.outputs[0].elements);
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
