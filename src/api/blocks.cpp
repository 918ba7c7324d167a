#include "api/blocks.h"

#include <algorithm>

namespace thimble {
namespace {

// Steps of no layer belong to the one before them. Bands and second runs have their layer's name
// with words behind it.
size_t group_of_step(const GroupOfLayer& group_of, std::string name, size_t before) {
  auto place = group_of(name);
  while (!place.group && name.find(' ') != name.npos) {
    name.resize(name.rfind(' '));
    place = group_of(name);
  }
  return place.group.value_or(before);
}

int64_t bytes_of(const std::array<int64_t, kCategories>& bytes, Category category) {
  return bytes[static_cast<size_t>(category)];
}

}  // namespace

std::vector<LayerGroup> groups_of(const ModelSource& source, ModelChoice choice) {
  choice.side = "none";
  try {
    return layer_groups(network_of(source, choice));
  } catch (const UserError&) {
    return {{choice.name, false, {}}};
  }
}

MemoryProfile planned_memory(const Program& program, const std::vector<LayerGroup>& groups) {
  MemoryProfile profile;
  for (const LayerGroup& group : groups) profile.blocks.push_back({group.name, group.is_block});
  const GroupOfLayer group_of(groups);
  size_t at = 0;
  const auto& steps = program.schedule.steps;
  for (size_t s = 0; s < steps.size(); ++s) {
    if (runs_once(steps[s].phase)) continue;
    at = group_of_step(group_of, steps[s].name, at);
    BlockMemory& block = profile.blocks[at];
    const auto bytes = bytes_at_step(program.memory, static_cast<int32_t>(s));
    const int64_t saved = bytes_of(bytes, Category::saved);
    const int64_t rest =
        bytes_of(bytes, Category::temporaries) + bytes_of(bytes, Category::scratchpad);
    block.temporary_bytes = std::max(block.temporary_bytes, rest);
    block.peak_bytes = std::max(block.peak_bytes, saved + rest);
    if (steps[s].phase == Phase::forward) block.cumulative_bytes = saved;
  }
  for (const BlockMemory& block : profile.blocks) {
    profile.cumulative_bytes = std::max(profile.cumulative_bytes, block.cumulative_bytes);
    profile.peak_bytes = std::max(profile.peak_bytes, block.peak_bytes);
  }
  return profile;
}

}  // namespace thimble
