#include "memory/plan.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "base/bytes.h"
#include "memory/place.h"

namespace thimble {
namespace {

size_t at(int32_t id) { return static_cast<size_t>(id); }

// First write to last read of each transient buffer.
std::vector<LiveRange> live_ranges(const Schedule& schedule) {
  std::vector<LiveRange> ranges(schedule.buffers.size(), {-1, -1});
  for (size_t s = 0; s < schedule.steps.size(); ++s) {
    const auto touch = [&](BufferId b) {
      if (b == kNoBuffer) return;
      LiveRange& range = ranges[at(b)];
      if (range.first < 0) range.first = static_cast<int32_t>(s);
      range.last = static_cast<int32_t>(s) + 1;
    };
    for (BufferId b : schedule.steps[s].inputs) touch(b);
    for (BufferId b : schedule.steps[s].outputs) touch(b);
  }
  return ranges;
}

class Planner {
 public:
  Planner(const Schedule& schedule, const std::vector<PersistentBlock>& persistent)
      : schedule_(schedule), ranges_(live_ranges(schedule)) {
    plan_.block_of_buffer.assign(schedule.buffers.size(), -1);
    plan_.block_of_scratch.assign(schedule.steps.size(), -1);
    const auto steps = std::max(static_cast<int32_t>(schedule.steps.size()), 1);
    std::unordered_map<std::string_view, size_t> buffers;
    for (size_t b = 0; b < schedule.buffers.size(); ++b) {
      if (schedule.buffers[b].persistent) buffers[schedule.buffers[b].name] = b;
    }
    for (const PersistentBlock& p : persistent) {
      const auto b = buffers.find(p.name);
      if (b != buffers.end()) {
        plan_.block_of_buffer[b->second] = static_cast<int32_t>(plan_.blocks.size());
      }
      plan_.blocks.push_back({p.name, p.bytes, {0, steps}, p.category, p.offset});
      plan_.persistent_bytes = std::max(plan_.persistent_bytes, p.offset + p.bytes);
      if (p.constant) plan_.constant_bytes = std::max(plan_.constant_bytes, p.offset + p.bytes);
    }
    first_transient_ = plan_.blocks.size();
  }

  MemoryPlan run() {
    std::vector<Block> transient = transient_blocks();
    const LowerBound bound = lower_bound(transient);
    plan_.arena_bytes = plan_.persistent_bytes + place_blocks(transient);
    plan_.lower_bound_bytes = plan_.persistent_bytes + bound.bytes;
    plan_.peak_step = bound.step;
    for (size_t b = 0; b < transient.size(); ++b) {
      plan_.blocks[first_transient_ + b].offset = plan_.persistent_bytes + transient[b].offset;
    }
    return std::move(plan_);
  }

  int64_t live_bytes() {
    const int64_t transient = lower_bound(transient_blocks()).bytes;
    return plan_.persistent_bytes + transient;
  }

 private:
  std::vector<Block> transient_blocks() {
    for (size_t s = 0; s < schedule_.steps.size(); ++s) {
      add_outputs(schedule_.steps[s], static_cast<int32_t>(s));
      add_scratch(schedule_.steps[s], static_cast<int32_t>(s));
    }
    return {plan_.blocks.begin() + static_cast<std::ptrdiff_t>(first_transient_),
            plan_.blocks.end()};
  }

  void add_outputs(const Step& step, int32_t s) {
    std::vector<BufferId> given_away;  // inputs whose bytes an output took over
    for (size_t k = 0; k < step.outputs.size(); ++k) {
      const BufferId out = step.outputs[k];
      if (out == kNoBuffer || schedule_.buffer(out).persistent) continue;
      if (plan_.block_of_buffer[at(out)] >= 0) continue;  // updated where it stands
      const Buffer& b = schedule_.buffer(out);
      if (const BufferId in = reusable_input(step, s, k, given_away); in != kNoBuffer) {
        given_away.push_back(in);
        plan_.block_of_buffer[at(out)] = plan_.block_of_buffer[at(in)];
        Block& block = plan_.blocks[at(plan_.block_of_buffer[at(in)])];
        block.range.last = std::max(block.range.last, ranges_[at(out)].last);
        if (b.category == Category::saved) block.category = b.category;
        continue;
      }
      plan_.block_of_buffer[at(out)] = static_cast<int32_t>(plan_.blocks.size());
      plan_.blocks.push_back({"", round_up(b.bytes, kAlignment), ranges_[at(out)], b.category, -1});
    }
  }

  void add_scratch(const Step& step, int32_t s) {
    if (step.scratch_bytes == 0) return;
    plan_.block_of_scratch[at(s)] = static_cast<int32_t>(plan_.blocks.size());
    plan_.blocks.push_back(
        {"", round_up(step.scratch_bytes, kAlignment), {s, s + 1}, Category::scratchpad, -1});
  }

  BufferId reusable_input(const Step& step, int32_t s, size_t output,
                          const std::vector<BufferId>& given_away) const {
    const Buffer& out = schedule_.buffer(step.outputs[output]);
    for (const InPlacePair& pair : step.in_place) {
      if (pair.output != output || pair.input >= step.inputs.size()) continue;
      const BufferId in = step.inputs[pair.input];
      if (in == kNoBuffer || schedule_.buffer(in).persistent) continue;
      const bool last_use = ranges_[at(in)].last == s + 1;
      const bool free = std::find(given_away.begin(), given_away.end(), in) == given_away.end();
      if (last_use && free && schedule_.buffer(in).bytes == out.bytes) return in;
    }
    return kNoBuffer;
  }

  const Schedule& schedule_;
  std::vector<LiveRange> ranges_;
  size_t first_transient_ = 0;
  MemoryPlan plan_;
};

}  // namespace

namespace {

// Names of persistent tensors that a step writes.
std::unordered_set<std::string_view> written_by(const std::vector<const Schedule*>& schedules) {
  std::unordered_set<std::string_view> names;
  for (const Schedule* schedule : schedules) {
    for (const Step& step : schedule->steps) {
      for (BufferId b : step.outputs) {
        if (b != kNoBuffer && schedule->buffer(b).persistent)
          names.insert(schedule->buffer(b).name);
      }
    }
  }
  return names;
}

}  // namespace

std::vector<PersistentBlock> place_persistent(const std::vector<const Schedule*>& schedules,
                                              const std::vector<Reservation>& reservations) {
  std::vector<PersistentBlock> placed;
  int64_t offset = 0;
  const auto add = [&](const std::string& name, int64_t bytes, Category category, bool constant) {
    const auto same = std::find_if(placed.begin(), placed.end(),
                                   [&](const PersistentBlock& p) { return p.name == name; });
    if (same != placed.end()) {
      ensure(same->bytes == round_up(bytes, kAlignment), "two programs disagree about ", name);
      return;
    }
    placed.push_back({name, round_up(bytes, kAlignment), offset, category, constant});
    offset += placed.back().bytes;
  };
  const auto written = written_by(schedules);
  for (const bool constant : {true, false}) {
    for (const Schedule* schedule : schedules) {
      for (const Buffer& b : schedule->buffers) {
        const bool stays = b.category == Category::weights && !written.contains(b.name);
        const bool here = b.persistent && b.page == kNoPage && stays == constant;
        if (here) add(b.name, b.bytes, b.category, constant);
      }
    }
  }
  for (const Reservation& r : reservations) add(r.name, r.bytes, r.category, false);
  return placed;
}

MemoryPlan plan_memory(const Schedule& schedule, const std::vector<PersistentBlock>& persistent) {
  return Planner(schedule, persistent).run();
}

int64_t live_bytes(const Schedule& schedule, const std::vector<PersistentBlock>& persistent) {
  return Planner(schedule, persistent).live_bytes();
}

int64_t staging_bytes(const Schedule& schedule) {
  int64_t most = 0;
  for (const Transfer& t : schedule.transfers) {
    const Buffer& b = schedule.buffer(t.buffer);
    most =
        std::max(most, round_up(t.plain_bytes, kAlignment) + round_up(t.scratch_bytes, kAlignment) +
                           (b.page == kNoPage ? 0 : round_up(b.bytes, kAlignment)));
  }
  for (const Buffer& b : schedule.buffers) {
    if (b.page != kNoPage) most = std::max(most, round_up(b.bytes, kAlignment));
    if (b.dense.rank() == 0) continue;
    // A part of the dense tensor, and the units of the largest values with their magnitudes.
    const int64_t part = b.dense.elements() / b.dense[0] * b.block * 4;
    const int64_t units = b.bytes / b.block;
    most = std::max(most, round_up(part, kAlignment) + round_up(2 * units, kAlignment));
  }
  return most;
}

std::array<int64_t, kCategories> bytes_at_step(const MemoryPlan& plan, int32_t step) {
  std::array<int64_t, kCategories> bytes = {};
  for (const Block& b : plan.blocks) {
    if (overlaps(b.range, {step, step + 1})) bytes[static_cast<size_t>(b.category)] += b.bytes;
  }
  return bytes;
}

namespace {

// The names of the tensors in a block, in order, that begin before `end`.
std::vector<std::string> tenants(const Schedule& schedule, const MemoryPlan& plan, size_t block,
                                 size_t end) {
  std::vector<std::string> names;
  for (size_t s = 0; s < end; ++s) {
    const Step& step = schedule.steps[s];
    if (plan.block_of_scratch[s] == static_cast<int32_t>(block)) {
      return {str_cat("scratch of ", step.op, ' ', step.name)};
    }
    for (BufferId b : step.outputs) {
      if (b == kNoBuffer || plan.block_of_buffer[at(b)] != static_cast<int32_t>(block)) continue;
      names.push_back(schedule.buffer(b).name);
    }
  }
  return names;
}

}  // namespace

std::vector<Block> largest_at_step(const Schedule& schedule, const MemoryPlan& plan, int32_t step,
                                   size_t count) {
  std::vector<size_t> live;
  for (size_t b = 0; b < plan.blocks.size(); ++b) {
    if (overlaps(plan.blocks[b].range, {step, step + 1})) live.push_back(b);
  }
  std::stable_sort(live.begin(), live.end(),
                   [&](size_t a, size_t b) { return plan.blocks[a].bytes > plan.blocks[b].bytes; });
  if (live.size() > count) live.resize(count);
  std::vector<Block> largest;
  for (size_t b : live) {
    largest.push_back(plan.blocks[b]);
    std::string& name = largest.back().name;
    if (!name.empty()) continue;
    const std::vector<std::string> names =
        tenants(schedule, plan, b, static_cast<size_t>(step) + 1);
    name = names.empty() ? name_of_block(schedule, plan, b) : names.back();
  }
  return largest;
}

std::string name_of_block(const Schedule& schedule, const MemoryPlan& plan, size_t block) {
  std::string name = plan.blocks[block].name;
  if (!name.empty()) return name;
  for (const std::string& tenant : tenants(schedule, plan, block, schedule.steps.size())) {
    name += str_cat(name.empty() ? "" : ", then ", tenant);
  }
  return name;
}

}  // namespace thimble
