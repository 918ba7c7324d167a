#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "schedule/schedule.h"

namespace thimble {

inline constexpr int64_t kAlignment = 64;  // one cache line, one AVX-512 register

// Steps [first, last) during which bytes must stay.
struct LiveRange {
  int32_t first = 0;
  int32_t last = 0;
  friend bool operator==(const LiveRange&, const LiveRange&) = default;
};
inline bool overlaps(LiveRange a, LiveRange b) { return a.first < b.last && b.first < a.last; }

// Bytes at one place. Buffers that follow each other in place share a block.
struct Block {
  std::string name;   // of persistent ones and reservations; for the others, `name_of_block`
  int64_t bytes = 0;  // rounded up to kAlignment
  LiveRange range;
  Category category = Category::temporaries;
  int64_t offset = -1;
};

// Where everything lies. Persistent blocks stand at the bottom of the arena, in the order of the
// buffers; transient ones above them.
struct MemoryPlan {
  std::vector<Block> blocks;
  std::vector<int32_t> block_of_buffer;   // -1: never touched
  std::vector<int32_t> block_of_scratch;  // by step; -1: none
  int64_t persistent_bytes = 0;
  int64_t constant_bytes = 0;  // of these the first, which no step writes
  int64_t arena_bytes = 0;
  int64_t lower_bound_bytes = 0;  // largest sum of live bytes over the steps
  int32_t peak_step = 0;          // where that happens
};

// Memory that outlives a schedule's own buffers: a second slot for the next batch, the loader.
struct Reservation {
  std::string name;
  int64_t bytes = 0;
  Category category = Category::data;
};

// A place at the bottom of the arena, by name: schedules that share an arena agree on these. What
// no step writes comes first.
struct PersistentBlock {
  std::string name;
  int64_t bytes = 0;
  int64_t offset = 0;
  Category category = Category::weights;
  bool constant = false;  // a weight or statistic that no step writes
};
std::vector<PersistentBlock> place_persistent(const std::vector<const Schedule*>& schedules,
                                              const std::vector<Reservation>& reservations);
MemoryPlan plan_memory(const Schedule& schedule, const std::vector<PersistentBlock>& persistent);
// Its lower bound alone, without placing anything.
int64_t live_bytes(const Schedule& schedule, const std::vector<PersistentBlock>& persistent);

// Free bytes, above the persistent ones, through which tensors go to a file and come from it: plain
// there, and as they lie in memory when they wait in the page file.
int64_t staging_bytes(const Schedule& schedule);

// Bytes by category at one step, scratch included.
std::array<int64_t, kCategories> bytes_at_step(const MemoryPlan& plan, int32_t step);
// The largest blocks that are live at the step, largest first, named by what is in them there.
std::vector<Block> largest_at_step(const Schedule& schedule, const MemoryPlan& plan, int32_t step,
                                   size_t count);
// "a, then b" where buffers follow each other in place. Made up when asked for: a plan has
// thousands of blocks, and people look at a few.
std::string name_of_block(const Schedule& schedule, const MemoryPlan& plan, size_t block);

}  // namespace thimble
