#include "schedule/order.h"

#include <algorithm>

namespace thimble {
namespace {

bool contains(const std::vector<BufferId>& list, BufferId id) {
  return id != kNoBuffer && std::find(list.begin(), list.end(), id) != list.end();
}

// True when `second` reads or overwrites what `first` makes, or overwrites what it reads.
bool must_follow(const Step& first, const Step& second) {
  const auto touched = [&](BufferId id) {
    return contains(second.inputs, id) || contains(second.outputs, id);
  };
  return std::any_of(first.outputs.begin(), first.outputs.end(), touched) ||
         std::any_of(first.inputs.begin(), first.inputs.end(),
                     [&](BufferId id) { return contains(second.outputs, id); });
}

// Bytes of the step's inputs that nobody reads afterwards.
int64_t bytes_freed(const Schedule& schedule, size_t s, const std::vector<size_t>& last_read) {
  int64_t bytes = 0;
  for (BufferId b : schedule.steps[s].inputs) {
    if (b == kNoBuffer || schedule.buffer(b).persistent) continue;
    if (last_read[static_cast<size_t>(b)] == s) bytes += schedule.buffer(b).bytes;
  }
  return bytes;
}

// The weight gradient and the input gradient of one layer, standing next to each other: the second
// runs beside what the first made, the first beside what only the second frees.
void swap_gradients(Schedule& schedule) {
  std::vector<Step>& steps = schedule.steps;
  std::vector<size_t> last_read(schedule.buffers.size());
  for (size_t s = 0; s < steps.size(); ++s) {
    for (BufferId b : steps[s].inputs) {
      if (b != kNoBuffer) last_read[static_cast<size_t>(b)] = s;
    }
  }
  for (size_t i = 0; i + 1 < steps.size(); ++i) {
    Step& first = steps[i];
    Step& second = steps[i + 1];
    const bool pair = first.phase == Phase::backward && second.phase == Phase::backward &&
                      first.name == second.name && first.op.ends_with("_backward_weights") &&
                      second.op.ends_with("_backward_data");
    if (!pair || must_follow(first, second)) continue;
    int64_t made = 0;
    for (BufferId b : first.outputs) made += b == kNoBuffer ? 0 : schedule.buffer(b).bytes;
    if (made > bytes_freed(schedule, i, last_read)) std::swap(first, second);
  }
}

// Moves each update, and what prepares it, up to just behind the last step that it must follow.
void hoist_updates(std::vector<Step>& steps) {
  std::vector<Step> updates;
  std::vector<Step> result;
  std::vector<Step> finish;
  for (Step& step : steps) {
    (step.phase == Phase::update   ? updates
     : step.phase == Phase::finish ? finish
                                   : result)
        .push_back(std::move(step));
  }
  for (Step& update : updates) {
    const auto last = std::find_if(result.rbegin(), result.rend(),
                                   [&](const Step& s) { return must_follow(s, update); });
    ensure(last != result.rend(), "the update of ", update.name, " has no gradient");
    // Behind those that stand there already: they keep their order.
    const auto place = std::find_if(last.base(), result.end(),
                                    [](const Step& s) { return s.phase != Phase::update; });
    result.insert(place, std::move(update));
  }
  steps = std::move(result);
  std::move(finish.begin(), finish.end(), std::back_inserter(steps));
}

}  // namespace

const char* name_of(Order order) {
  switch (order) {
    case Order::as_written:
      return "as_written";
    case Order::early_update:
      return "early_update";
    case Order::smaller_first:
      return "smaller_first";
  }
  return "?";
}

std::vector<Order> all_orders() {
  return {Order::as_written, Order::early_update, Order::smaller_first};
}

Schedule reordered(const Schedule& schedule, Order order) {
  Schedule result = schedule;
  if (order == Order::smaller_first) swap_gradients(result);
  if (order != Order::as_written) hoist_updates(result.steps);
  return result;
}

}  // namespace thimble
