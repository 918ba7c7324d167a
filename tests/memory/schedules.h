#pragma once

#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "memory/plan.h"

namespace thimble {

// Schedules by hand, without a graph or kernels.
class ScheduleMaker {
 public:
  BufferId buffer(const std::string& name, int64_t bytes, bool persistent = false,
                  Category category = Category::temporaries) {
    Buffer b;
    b.name = name;
    b.bytes = bytes;
    b.persistent = persistent;
    b.category = category;
    b.tensor = static_cast<TensorId>(schedule_.buffers.size());
    schedule_.buffers.push_back(std::move(b));
    return static_cast<BufferId>(schedule_.buffers.size() - 1);
  }
  void step(std::vector<BufferId> inputs, std::vector<BufferId> outputs,
            std::vector<InPlacePair> in_place = {}, int64_t scratch_bytes = 0) {
    Step s;
    s.op = "op";
    s.name = std::to_string(schedule_.steps.size());
    s.inputs = std::move(inputs);
    s.outputs = std::move(outputs);
    static std::deque<std::vector<InPlacePair>> for_ever;  // as the op table's
    s.in_place = for_ever.emplace_back(std::move(in_place));
    s.scratch_bytes = scratch_bytes;
    schedule_.steps.push_back(std::move(s));
  }
  Schedule& schedule() { return schedule_; }
  MemoryPlan plan() const { return plan_memory(schedule_, place_persistent({&schedule_}, {})); }

 private:
  Schedule schedule_;
};

inline Block& block_of(MemoryPlan& plan, BufferId b) {
  return plan.blocks[static_cast<size_t>(plan.block_of_buffer[static_cast<size_t>(b)])];
}

}  // namespace thimble
