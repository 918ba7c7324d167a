#include "memory/bind.h"

namespace thimble {

Addresses addresses_in(std::byte* arena, const MemoryPlan& plan) {
  const auto place = [&](int32_t block) -> void* {
    return block < 0 ? nullptr : arena + plan.blocks[static_cast<size_t>(block)].offset;
  };
  Addresses a;
  for (int32_t block : plan.block_of_buffer) a.buffers.push_back(place(block));
  for (int32_t block : plan.block_of_scratch) a.scratch.push_back(place(block));
  return a;
}

std::unique_ptr<BoundKernel> bind_step(const Schedule& schedule, size_t step,
                                       const Addresses& addresses) {
  const auto resolve = [&](const std::vector<BufferId>& ids) {
    std::vector<void*> result;
    for (BufferId b : ids) {
      result.push_back(b == kNoBuffer ? nullptr : addresses.buffers[static_cast<size_t>(b)]);
    }
    return result;
  };
  const Step& s = schedule.steps[step];
  const std::vector<void*> inputs = resolve(s.inputs);
  const std::vector<void*> outputs = resolve(s.outputs);
  return s.kernel->bind({inputs, outputs, addresses.scratch[step], addresses.pages});
}

}  // namespace thimble
