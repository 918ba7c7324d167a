#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "runtime/arena.h"
#include "runtime/executor.h"
#include "runtime/setup.h"
#include "runtime/weights.h"

namespace thimble {

// One step of a graph, in memory of its own, with the first weights of training.
class OneStep {
 public:
  // Of steps that share a backend and `layouts`, a weight lies in the same way in each.
  OneStep(const Setup& setup, const Graph& graph, Backend& backend,
          std::vector<NamedLayout>& layouts)
      : schedule_(make_schedule(graph, backend, layouts)),
        plan_(plan_memory(schedule_, place_persistent({&schedule_}, {}))),
        arena_(plan_.arena_bytes),
        executor_(schedule_, plan_, arena_.data()),
        weights_(schedule_, plan_, arena_.data(), plan_.arena_bytes, nullptr) {
    weights_.initialise(setup.options.seed);
    if (!setup.model_file.empty()) weights_.load(setup.model_file, false, setup.fresh);
    if (const std::string& file = setup.options.initial_weights; !file.empty()) {
      weights_.load(file, false, lacking(file, setup.fresh));
    }
  }

  // Of pictures and labels that lie plain.
  void set_batch(const std::vector<float>& images, const std::vector<int32_t>& labels) {
    std::copy(images.begin(), images.end(), at<float>("images"));
    std::copy(labels.begin(), labels.end(), at<int32_t>("labels"));
  }

  void run() { executor_.run(); }

  template <class T>
  T* at(const std::string& name) const {
    const BufferId buffer = schedule_.find(name);
    ensure(buffer != kNoBuffer, "the step has no tensor ", name);
    return static_cast<T*>(executor_.address(buffer));
  }
  template <class T>
  T* at(TensorId tensor) const {  // buffers begin with the graph's tensors
    return static_cast<T*>(executor_.address(static_cast<BufferId>(tensor)));
  }

  const Schedule& schedule() const { return schedule_; }

 private:
  Schedule schedule_;
  MemoryPlan plan_;
  Arena arena_;
  Executor executor_;
  WeightStore weights_;
};

}  // namespace thimble
