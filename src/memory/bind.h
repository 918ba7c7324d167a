#pragma once

#include <memory>
#include <vector>

#include "memory/plan.h"

namespace thimble {

// Where the buffers and scratch of a schedule lie; null: nowhere.
struct Addresses {
  std::vector<void*> buffers;  // by buffer
  std::vector<void*> scratch;  // by step
  PageFile* pages = nullptr;   // of steps that page
};
Addresses addresses_in(std::byte* arena, const MemoryPlan& plan);

// The kernel of one step on these addresses; nothing is read or written.
std::unique_ptr<BoundKernel> bind_step(const Schedule& schedule, size_t step,
                                       const Addresses& addresses);

}  // namespace thimble
