#include "backends/onednn/onednn.h"
#include "backends/onednn/vector/vector.h"
#include "backends/portable/portable.h"
#include "ops/core/small_step.h"

// The steps of ops/small_state.cpp with the widest vectors of this processor; the same layouts.

namespace thimble::onednn {
namespace {

constexpr int64_t kGrain = kParallelGrain / (4 * kStateBlock);

class SmallSgdKernel : public Kernel {
 public:
  SmallSgdKernel(int64_t count, const Attributes& a) : count_(count), attributes_(a) {}
  std::unique_ptr<BoundKernel> bind(const KernelBuffers& b) const override {
    const auto* lr = static_cast<const float*>(b.inputs[2]);
    const auto* counter = static_cast<const int32_t*>(b.inputs[3]);
    SmallSgd args;
    args.weights = static_cast<float*>(b.outputs[0]);
    args.diff = static_cast<const float*>(b.inputs[1]);
    args.momentum = static_cast<uint8_t*>(b.outputs[1]);
    return bound([this, lr, counter, args] {
      SmallSgd step = small_sgd_args(attributes_, *lr, counter);
      step.weights = args.weights;
      step.diff = args.diff;
      step.momentum = args.momentum;
      step.count = count_;
      parallel_for(state_blocks(count_), kGrain, [&](int64_t begin, int64_t end) {
        vector::kernels().small_sgd(step, begin, end);
      });
    });
  }

 private:
  int64_t count_;
  Attributes attributes_;
};

class SmallAdamKernel : public Kernel {
 public:
  SmallAdamKernel(int64_t count, const Attributes& a, bool decoupled)
      : count_(count), attributes_(a), decoupled_(decoupled) {}
  std::unique_ptr<BoundKernel> bind(const KernelBuffers& b) const override {
    const auto* lr = static_cast<const float*>(b.inputs[2]);
    const auto* counter = static_cast<const int32_t*>(b.inputs[3]);
    SmallAdam args;
    args.weights = static_cast<float*>(b.outputs[0]);
    args.diff = static_cast<const float*>(b.inputs[1]);
    args.mean = static_cast<uint8_t*>(b.outputs[1]);
    args.square = static_cast<uint8_t*>(b.outputs[2]);
    return bound([this, lr, counter, args] {
      SmallAdam step = small_adam_args(attributes_, decoupled_, *lr, counter);
      step.weights = args.weights;
      step.diff = args.diff;
      step.mean = args.mean;
      step.square = args.square;
      step.count = count_;
      parallel_for(state_blocks(count_), kGrain, [&](int64_t begin, int64_t end) {
        vector::kernels().small_adam(step, begin, end);
      });
    });
  }

 private:
  int64_t count_;
  Attributes attributes_;
  bool decoupled_;
};

std::optional<KernelChoice> choose(const Context& c) {
  KernelChoice choice = choose_portable(c.graph, c.node, c.layouts);
  const int64_t count = choice.outputs[0].elements;
  const Attributes& a = c.node.attributes;
  choice.implementation = vector::kernels().name;
  if (c.node.op == "sgd_small") {
    choice.kernel = std::make_shared<SmallSgdKernel>(count, a);
  } else {
    choice.kernel = std::make_shared<SmallAdamKernel>(count, a, c.node.op == "adamw_small");
  }
  return choice;
}

}  // namespace

void define_fast_small_state(Choosers& choosers) {
  for (const char* op : {"sgd_small", "adam_small", "adamw_small"}) choosers[op] = choose;
}

}  // namespace thimble::onednn
