#include "runtime/executor.h"

#include <algorithm>
#include <chrono>

#include "memory/check.h"

namespace thimble {
namespace {

bool touches(const Step& step, BufferId buffer) {
  return std::find(step.inputs.begin(), step.inputs.end(), buffer) != step.inputs.end() ||
         std::find(step.outputs.begin(), step.outputs.end(), buffer) != step.outputs.end();
}

}  // namespace

Executor::Executor(const Schedule& schedule, const MemoryPlan& plan, std::byte* arena,
                   const std::vector<Slots>& slots, PageFile* pages)
    : addresses_(addresses_in(arena, plan)) {
  addresses_.pages = pages;
  check_plan(schedule, plan);
  for (const Step& step : schedule.steps) {
    parts_.push_back(step.phase == Phase::prepare  ? Part::prepare
                     : step.phase == Phase::finish ? Part::finish
                                                   : Part::body);
  }
  const size_t count = slots.empty() ? 1 : slots[0].places.size();
  for (size_t slot = count; slot-- > 0;) {
    for (const Slots& s : slots) {
      addresses_.buffers[static_cast<size_t>(s.buffer)] = s.places[slot];
    }
    auto& steps = *bound_.emplace(bound_.begin(), schedule.steps.size());
    for (size_t s = 0; s < steps.size(); ++s) {
      const auto touched = [&](const Slots& x) { return touches(schedule.steps[s], x.buffer); };
      if (slot == 0 || std::any_of(slots.begin(), slots.end(), touched)) {
        steps[s] = bind_step(schedule, s, addresses_);
      }
    }
  }
}

void Executor::run_step(size_t step, size_t slot) {
  BoundKernel* own = bound_[slot][step].get();
  (own != nullptr ? *own : *bound_[0][step]).run();
}

void Executor::run_part(Part part, size_t slot) {
  for (size_t s = 0; s < parts_.size(); ++s) {
    if (parts_[s] == part) run_step(s, slot);
  }
}

void Executor::run(size_t slot) {
  for (size_t s = 0; s < bound_[0].size(); ++s) run_step(s, slot);
}

void Executor::run_timed(size_t slot, std::vector<double>& seconds) {
  seconds.resize(bound_[0].size());
  for (size_t s = 0; s < seconds.size(); ++s) {
    const auto begin = std::chrono::steady_clock::now();
    run_step(s, slot);
    seconds[s] += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }
}

}  // namespace thimble
