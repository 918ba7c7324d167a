#include "runtime/executor.h"

#include <algorithm>
#include <chrono>

#include "memory/check.h"

namespace thimble {
namespace {

size_t at(int32_t id) { return static_cast<size_t>(id); }

bool touches(const Step& step, BufferId buffer) {
  return std::find(step.inputs.begin(), step.inputs.end(), buffer) != step.inputs.end() ||
         std::find(step.outputs.begin(), step.outputs.end(), buffer) != step.outputs.end();
}

}  // namespace

Executor::Executor(const Schedule& schedule, const MemoryPlan& plan, std::byte* arena,
                   std::vector<Slots> slots)
    : schedule_(schedule), slots_(std::move(slots)) {
  check_plan(schedule, plan);
  const auto place = [&](int32_t block) -> void* {
    return block < 0 ? nullptr : arena + plan.blocks[at(block)].offset;
  };
  for (int32_t block : plan.block_of_buffer) addresses_.push_back(place(block));
  for (int32_t block : plan.block_of_scratch) scratch_.push_back(place(block));
  size_t widest = 0;
  for (const Step& step : schedule.steps) {
    widest = std::max({widest, step.inputs.size(), step.outputs.size()});
  }
  inputs_.resize(widest);
  outputs_.resize(widest);
  for (const Slots& s : slots_) addresses_[at(s.buffer)] = s.places[0];
  for (size_t s = 0; s < schedule.steps.size(); ++s) {
    bind(s);
    const auto touched = [&](const Slots& x) { return touches(schedule.steps[s], x.buffer); };
    if (std::any_of(slots_.begin(), slots_.end(), touched)) slot_steps_.push_back(s);
  }
}

void Executor::bind(size_t s) {
  const Step& step = schedule_.steps[s];
  const auto resolve = [&](const std::vector<BufferId>& ids, std::vector<void*>& out) {
    for (size_t i = 0; i < ids.size(); ++i) {
      out[i] = ids[i] == kNoBuffer ? nullptr : addresses_[at(ids[i])];
    }
  };
  resolve(step.inputs, inputs_);
  resolve(step.outputs, outputs_);
  step.kernel->bind(
      {{inputs_.data(), step.inputs.size()}, {outputs_.data(), step.outputs.size()}, scratch_[s]});
}

void Executor::use_slot(size_t slot) {
  if (slot == slot_) return;
  for (const Slots& s : slots_) addresses_[at(s.buffer)] = s.places[slot];
  for (size_t s : slot_steps_) bind(s);
  slot_ = slot;
}

void Executor::run(size_t slot) {
  use_slot(slot);
  for (const Step& step : schedule_.steps) step.kernel->run();
}

void Executor::run_timed(size_t slot, std::vector<double>& seconds) {
  use_slot(slot);
  seconds.resize(schedule_.steps.size());
  for (size_t s = 0; s < schedule_.steps.size(); ++s) {
    const auto begin = std::chrono::steady_clock::now();
    schedule_.steps[s].kernel->run();
    seconds[s] += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }
}

void* Executor::address(BufferId buffer) const { return addresses_[at(buffer)]; }

}  // namespace thimble
