#include "schedule/order.h"

#include <algorithm>
#include <iterator>

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
                      second.op.find("_backward_data") != std::string::npos;
    if (!pair || must_follow(first, second)) continue;
    int64_t made = 0;
    for (BufferId b : first.outputs) made += b == kNoBuffer ? 0 : schedule.buffer(b).bytes;
    if (made > bytes_freed(schedule, i, last_read)) std::swap(first, second);
  }
}

// Moves each weight gradient, and each sum of gradients, up to just behind the last step that it
// must follow: what only it still reads may be overwritten from there on.
void hoist_gradients(Schedule& schedule) {
  std::vector<Step>& steps = schedule.steps;
  for (size_t i = 1; i < steps.size(); ++i) {
    const bool ends = steps[i].op.ends_with("_backward_weights") || steps[i].op == "add";
    if (steps[i].phase != Phase::backward || !ends) continue;
    size_t place = i;
    while (place > 0 && steps[place - 1].phase == Phase::backward &&
           !must_follow(steps[place - 1], steps[i])) {
      --place;
    }
    const auto begin = steps.begin();
    std::rotate(begin + static_cast<std::ptrdiff_t>(place), begin + static_cast<std::ptrdiff_t>(i),
                begin + static_cast<std::ptrdiff_t>(i) + 1);
  }
}

// Moves each update, and what prepares it, up to just behind the last step that it must follow.
// Those that do not stand at the end were placed by who knew more.
void hoist_updates(Schedule& schedule) {
  constexpr int64_t kNever = -1;
  std::vector<Step> body, updates, finish;
  const auto ends = [](const Step& s) { return s.phase >= Phase::update; };
  const auto last = std::find_if_not(schedule.steps.rbegin(), schedule.steps.rend(), ends).base();
  body.assign(std::make_move_iterator(schedule.steps.begin()), std::make_move_iterator(last));
  for (auto step = last; step != schedule.steps.end(); ++step) {
    (step->phase == Phase::update ? updates : finish).push_back(std::move(*step));
  }
  std::vector<int64_t> written(schedule.buffers.size(), kNever);  // by which step last
  std::vector<int64_t> touched(schedule.buffers.size(), kNever);  // read or written
  const auto record = [&](const Step& step, int64_t place) {
    for (const auto* list : {&step.inputs, &step.outputs}) {
      for (BufferId b : *list) {
        if (b == kNoBuffer) continue;
        touched[static_cast<size_t>(b)] = std::max(touched[static_cast<size_t>(b)], place);
        if (list != &step.outputs) continue;
        written[static_cast<size_t>(b)] = std::max(written[static_cast<size_t>(b)], place);
      }
    }
  };
  for (size_t s = 0; s < body.size(); ++s) record(body[s], static_cast<int64_t>(s));
  // Those that go behind the same step keep their order.
  std::vector<std::vector<Step>> behind(body.size());
  // What reads nothing of the body stands just before the next that does: the copy of a part of a
  // weight, before its update.
  std::vector<Step> waiting;
  for (Step& update : updates) {
    int64_t place = kNever;
    for (BufferId b : update.inputs) {
      if (b != kNoBuffer) place = std::max(place, written[static_cast<size_t>(b)]);
    }
    for (BufferId b : update.outputs) {
      if (b != kNoBuffer) place = std::max(place, touched[static_cast<size_t>(b)]);
    }
    waiting.push_back(std::move(update));
    if (place == kNever) continue;
    for (Step& next : waiting) {
      record(next, place);
      behind[static_cast<size_t>(place)].push_back(std::move(next));
    }
    waiting.clear();
  }
  ensure(waiting.empty(), "an update has no gradient");
  std::vector<Step>& steps = schedule.steps;
  steps.clear();
  for (size_t s = 0; s < body.size(); ++s) {
    steps.push_back(std::move(body[s]));
    std::move(behind[s].begin(), behind[s].end(), std::back_inserter(steps));
  }
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
    case Order::early_gradient:
      return "early_gradient";
  }
  return "?";
}

std::vector<Order> all_orders() {
  return {Order::as_written, Order::early_update, Order::smaller_first, Order::early_gradient};
}

Schedule reordered(Schedule schedule, Order order) {
  if (order == Order::smaller_first) swap_gradients(schedule);
  if (order == Order::early_gradient) hoist_gradients(schedule);
  if (order != Order::as_written) hoist_updates(schedule);
  return schedule;
}

}  // namespace thimble
