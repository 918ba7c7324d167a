#pragma once

#include <vector>

#include "memory/plan.h"
#include "schedule/schedule.h"

namespace thimble {

// A tensor that has several places, one of which each run uses: the batch being read, while the
// next one is being decoded.
struct Slots {
  BufferId buffer = kNoBuffer;
  std::vector<void*> places;
};

// Runs a schedule on an arena. All addresses are fixed when it is made; a run never allocates.
class Executor {
 public:
  Executor(const Schedule& schedule, const MemoryPlan& plan, std::byte* arena,
           std::vector<Slots> slots = {});
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  void run(size_t slot = 0);
  // The same, adding each step's seconds to `seconds[step]`.
  void run_timed(size_t slot, std::vector<double>& seconds);
  // Where a tensor lies; of slots, the one that ran last.
  void* address(BufferId buffer) const;

 private:
  void bind(size_t step);
  void use_slot(size_t slot);

  const Schedule& schedule_;
  std::vector<Slots> slots_;
  std::vector<void*> addresses_;         // by buffer; null when it has no place
  std::vector<void*> scratch_;           // by step
  std::vector<void*> inputs_, outputs_;  // for bind
  std::vector<size_t> slot_steps_;       // steps that touch a tensor with slots
  size_t slot_ = 0;
};

}  // namespace thimble
