#include "ops/core/small_step.h"

// Optimizers whose state lies in memory in 8 bits: SGD with momentum, Adam and AdamW. Inputs and
// attributes are those of sgd and adam; a number names the stream that rounding is drawn from.

namespace thimble {
namespace {

// A block takes about as long as so many scalar operations.
constexpr int64_t kBlockGrain = kParallelGrain / (8 * kStateBlock);

void run_sgd(const OpCall& call) {
  SmallSgd args = small_sgd_args(call.attributes, call.in<float>(2)[0], call.in<int32_t>(3));
  args.weights = call.out<float>(0);
  args.diff = call.in<float>(1);
  args.momentum = call.out<uint8_t>(1);
  args.count = call.outputs[0].elements;
  parallel_for(state_blocks(args.count), kBlockGrain,
               [&](int64_t begin, int64_t end) { small_sgd(args, begin, end); });
}

template <bool kDecoupled>
void run_adam(const OpCall& call) {
  SmallAdam args =
      small_adam_args(call.attributes, kDecoupled, call.in<float>(2)[0], call.in<int32_t>(3));
  args.weights = call.out<float>(0);
  args.diff = call.in<float>(1);
  args.mean = call.out<uint8_t>(1);
  args.square = call.out<uint8_t>(2);
  args.count = call.outputs[0].elements;
  parallel_for(state_blocks(args.count), kBlockGrain,
               [&](int64_t begin, int64_t end) { small_adam(args, begin, end); });
}

// The op with full state says what it takes; that one is for people to choose, this is not.
OpDef small(const OpTable& table, const std::string& name, std::vector<SmallInput> inputs,
            PortableKernel kernel) {
  const OpDef* full = table.find(name);
  ensure(full != nullptr, "small_state stands before ", name);
  OpDef def = *full;
  def.name = name + "_small";
  def.summary = name + " with its state in blocks of 8 bits (arXiv 2110.02861)";
  def.attributes.push_back({"layer", int64_t{0}, "names the random stream"});
  def.inputs[1].name = "diff";
  def.parameters = nullptr;
  def.accumulating = nullptr;  // the sum of gradients needs all its digits
  def.small = std::move(inputs);
  def.kernels = {kernel, nullptr, nullptr};
  return def;
}

}  // namespace

void define_small_state(OpTable& table) {
  constexpr size_t kFirst = kOptimizerStateInput;
  table.add(small(table, "sgd", {{kFirst, true}}, run_sgd));
  table.add(small(table, "adam", {{kFirst, true}, {kFirst + 1, false}}, run_adam<false>));
  table.add(small(table, "adamw", {{kFirst, true}, {kFirst + 1, false}}, run_adam<true>));
}

}  // namespace thimble
