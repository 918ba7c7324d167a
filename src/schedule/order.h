#pragma once

#include <string>
#include <vector>

#include "schedule/schedule.h"

namespace thimble {

// The orders that cost no time; a planner takes the one with the smallest arena.
enum class Order : uint8_t {
  as_written,     // weight gradient before input gradient; updates last
  early_update,   // each update as soon as its gradient exists and nobody reads the weight again
  smaller_first,  // the same; of a layer's two gradients, first the one that leaves fewer bytes
  early_gradient  // early_update; weight gradients and sums as soon as what they read is there
};
const char* name_of(Order order);
std::vector<Order> all_orders();

// The same steps in another valid order. Kernels are shared with `schedule`.
Schedule reordered(Schedule schedule, Order order);

}  // namespace thimble
