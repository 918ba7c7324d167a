#include <algorithm>
#include <set>

#include "api/blocks.h"
#include "runtime/setup.h"

namespace thimble {
namespace {

// Bytes of a step that are neither saved nor persistent: its other inputs, outputs and scratch.
int64_t temporary_bytes(const Schedule& schedule, const Step& step) {
  std::set<BufferId> seen;
  int64_t bytes = step.scratch_bytes;
  const auto add = [&](BufferId id) {
    if (id == kNoBuffer || !seen.insert(id).second) return;
    const Buffer& b = schedule.buffer(id);
    if (!b.persistent && b.category != Category::saved) bytes += b.bytes;
  };
  for (BufferId b : step.inputs) add(b);
  for (BufferId b : step.outputs) add(b);
  return bytes;
}

// From the graph: a step may read a reordered copy of a weight.
int64_t parameters_of(const Graph& forward, const std::string& layer) {
  int64_t parameters = 0;
  for (const Node& node : forward.nodes) {
    if (node.name != layer) continue;
    for (TensorId t : node.inputs) {
      if (t != kNoTensor && forward.tensor(t).trainable) {
        parameters += trained_shape(forward.tensor(t)).elements();
      }
    }
  }
  return parameters;
}

// From what was chosen for this batch, at twice the batch: techniques are not searched for anew,
// the order is. Without the data, which may have no such batch, but with the room that it takes.
double arena_bytes_per_pixel(const Setup& setup, const Plan& plan) {
  TrainOptions options = setup.options;
  options.model.batch *= 2;
  options.budget_bytes = 0;
  options.data.path.clear();
  Setup twice = prepare(std::move(options), true);
  twice.request.reservations = setup.request.reservations;
  twice.request.numerics =
      Numerics{plan.chosen.microbatches, plan.chosen.settings, true, plan.chosen.recompute};
  const Plan larger = make_plan(std::move(twice.request), setup.machine);
  const Graph& forward = setup.request.forward;
  const Shape& images = forward.tensor(forward.find("images")).shape;
  return static_cast<double>(larger.arena_bytes - plan.arena_bytes) /
         static_cast<double>(images[0] * images[2] * images[3]);
}

void add_blocks(Profile& profile, const Setup& setup, const Plan& plan) {
  const ModelChoice& choice = setup.options.model;
  const std::vector<LayerGroup> groups = groups_of(find_source(choice, setup.model_file), choice);
  const MemoryProfile paper = memory_profile(setup.request.forward, groups);
  const MemoryProfile planned = planned_memory(plan.train, groups);
  BlockProfile& all = profile.all_blocks;
  all = {"all", false};
  all.cumulative_bytes = paper.cumulative_bytes;
  all.peak_bytes = paper.peak_bytes;
  all.planned_cumulative_bytes = planned.cumulative_bytes;
  all.planned_peak_bytes = planned.peak_bytes;
  for (size_t b = 0; b < groups.size(); ++b) {
    const BlockMemory& said = paper.blocks[b];
    const BlockMemory& real = planned.blocks[b];
    profile.blocks.push_back({said.name, said.is_block, said.temporary_bytes, said.cumulative_bytes,
                              said.peak_bytes, paper.is_sensitive(said), real.temporary_bytes,
                              real.cumulative_bytes, real.peak_bytes});
    all.temporary_bytes = std::max(all.temporary_bytes, said.temporary_bytes);
    all.planned_temporary_bytes = std::max(all.planned_temporary_bytes, real.temporary_bytes);
  }
  const int64_t examples = choice.batch * setup.patches;
  profile.paper_total_bytes = paper.total_bytes(examples);
  profile.planned_examples = examples / plan.numerics.microbatches;
}

}  // namespace

Profile profile(const TrainOptions& options) {
  TrainOptions whole = options;
  whole.cache_features = false;  // it looks at all layers
  const Setup setup = prepare(std::move(whole), true);
  const Plan plan = make_plan(setup.request, setup.machine);
  const Schedule& schedule = plan.train.schedule;
  Profile profile;
  profile.options = setup.options;
  std::set<BufferId> saved;  // a tensor belongs to the layer that made it
  for (const Step& step : schedule.steps) {
    if (step.phase != Phase::forward || step.op == "reorder") continue;
    LayerProfile layer;
    layer.name = step.name;
    layer.op = step.op;
    const Shape& shape = schedule.buffer(step.outputs[0]).shape;
    layer.shape = {shape.begin(), shape.end()};
    layer.forward_flops = step.flops;
    layer.parameters = parameters_of(setup.request.forward, step.name);
    for (BufferId b : step.outputs) {
      if (b == kNoBuffer || schedule.buffer(b).category != Category::saved) continue;
      if (saved.insert(b).second) layer.saved_bytes += schedule.buffer(b).bytes;
    }
    for (const Step& other : schedule.steps) {
      if (other.name != step.name) continue;
      layer.temporary_bytes = std::max(layer.temporary_bytes, temporary_bytes(schedule, other));
      if (other.phase == Phase::backward) layer.backward_flops += other.flops;
    }
    profile.layers.push_back(std::move(layer));
  }
  add_blocks(profile, setup, plan);
  profile.arena_bytes_per_pixel = arena_bytes_per_pixel(setup, plan);
  return profile;
}

}  // namespace thimble
