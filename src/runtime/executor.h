#pragma once

#include <memory>
#include <vector>

#include "memory/bind.h"

namespace thimble {

// A tensor that has several places, one of which each run uses: the batch being read, while the
// next one is being decoded.
struct Slots {
  BufferId buffer = kNoBuffer;
  std::vector<void*> places;
};

// Runs a schedule on an arena. All addresses are fixed when it is made; a run never allocates.
// Steps that page book their room in `pages`, which must be open when they run.
class Executor {
 public:
  Executor(const Schedule& schedule, const MemoryPlan& plan, std::byte* arena,
           const std::vector<Slots>& slots = {}, PageFile* pages = nullptr);
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  // A whole step of one batch.
  void run(size_t slot = 0);
  // A step of several microbatches: `prepare`, then `body` for each, then `finish`.
  enum class Part : uint8_t { prepare, body, finish };
  void run_part(Part part, size_t slot = 0);
  void run_step(size_t step, size_t slot = 0);
  // The same as `run`, adding each step's seconds to `seconds[step]`.
  void run_timed(size_t slot, std::vector<double>& seconds);
  // Where a tensor lies; of slots, the first.
  void* address(BufferId buffer) const { return addresses_.buffers[static_cast<size_t>(buffer)]; }

 private:
  Addresses addresses_;
  std::vector<Part> parts_;  // by step
  // By slot, then by step; null where a step does the same as for slot 0.
  std::vector<std::vector<std::unique_ptr<BoundKernel>>> bound_;
};

}  // namespace thimble
