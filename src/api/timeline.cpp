#include <optional>
#include <string_view>
#include <utility>

#include "api/explain.h"
#include "planner/account.h"
#include "runtime/setup.h"

namespace thimble {
namespace {

size_t at(int32_t id) { return static_cast<size_t>(id); }

TimelineTensor tensor_of(const Buffer& b) {
  return {b.name, {b.shape.begin(), b.shape.end()}, name_of(b.type)};
}

std::vector<TimelineBlock> blocks_of(const Program& program) {
  const Schedule& schedule = program.schedule;
  const MemoryPlan& memory = program.memory;
  std::vector<TimelineBlock> blocks;
  for (const Block& b : memory.blocks) {
    blocks.push_back({{}, name_of(b.category), b.bytes, b.offset, b.range.first, b.range.last});
  }
  std::vector<bool> named(schedule.buffers.size());
  const auto name_buffer = [&](BufferId b) {
    if (b == kNoBuffer || named[at(b)] || memory.block_of_buffer[at(b)] < 0) return;
    named[at(b)] = true;
    blocks[at(memory.block_of_buffer[at(b)])].tensors.push_back(tensor_of(schedule.buffer(b)));
  };
  for (size_t b = 0; b < schedule.buffers.size(); ++b) {
    if (schedule.buffers[b].persistent) name_buffer(static_cast<BufferId>(b));
  }
  for (size_t s = 0; s < schedule.steps.size(); ++s) {  // in the order in which they follow
    const Step& step = schedule.steps[s];
    for (BufferId b : step.outputs) name_buffer(b);
    if (const int32_t block = memory.block_of_scratch[s]; block >= 0) {
      blocks[at(block)].tensors.push_back(
          {str_cat("scratch of ", step.op, ' ', step.name), {}, ""});
    }
  }
  for (size_t b = 0; b < blocks.size(); ++b) {  // reservations, and what evaluation alone uses
    if (blocks[b].tensors.empty()) blocks[b].tensors.push_back({memory.blocks[b].name, {}, ""});
  }
  return blocks;
}

}  // namespace

PlanTimeline plan_timeline(const TrainOptions& options) {
  Setup setup = prepare(options, true);
  const Machine machine = setup.machine;
  std::optional<Plan> made = make_plan(std::move(setup.request), machine);
  const Plan& plan = *made;
  PlanTimeline timeline;
  timeline.plan = report_of(plan);
  timeline.options = std::move(setup.options);
  const Schedule& schedule = plan.train.schedule;
  timeline.microbatches = schedule.microbatches;
  timeline.peak_step = plan.train.memory.peak_step;
  for (const Step& step : schedule.steps) {
    timeline.steps.push_back({step.op, step.name, name_of(step.phase), runs_again(schedule, step)});
  }
  timeline.blocks = blocks_of(plan.train);
  const Chosen chosen = plan.chosen;
  made.reset();
  explain(timeline.plan, options, chosen);
  return timeline;
}

}  // namespace thimble
