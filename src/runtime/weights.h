#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "memory/plan.h"
#include "schedule/schedule.h"

namespace thimble {

// The weights, running statistics and optimizer state of a program, in and out of files, where they
// are plain and carry their names. Those with another layout pass through free bytes of the arena,
// one at a time; nothing is allocated per tensor.
class WeightStore {
 public:
  // Bytes of the arena above the persistent ones are overwritten: no step may be under way.
  WeightStore(const Schedule& schedule, const MemoryPlan& plan, std::byte* arena,
              int64_t arena_bytes);

  // First values as the model says, from (seed, name of the tensor): the same for every backend.
  void initialise(uint64_t seed);
  // Written aside and renamed.
  void save(const std::string& path, bool with_optimizer,
            const std::map<std::string, std::string>& metadata);
  // Returns the file's metadata. Throws UserError that names the first tensor that is missing or
  // has another shape.
  std::map<std::string, std::string> load(const std::string& path, bool with_optimizer);

 private:
  struct Entry {
    const Buffer* buffer = nullptr;
    int64_t bytes = 0;  // plain
    std::byte* place = nullptr;
    const Transfer* transfer = nullptr;  // null: the tensor is plain in the arena
    bool optimizer() const { return buffer->category == Category::optimizer; }
  };

  void copy(const Entry& entry, const Kernel& kernel, void* from, void* to);

  std::vector<Entry> entries_;
  std::byte* staging_ = nullptr;
};

}  // namespace thimble
