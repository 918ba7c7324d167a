#pragma once

#include <functional>
#include <optional>
#include <span>

#include "base/page_file.h"
#include "runtime/arena.h"
#include "runtime/executor.h"
#include "runtime/setup.h"
#include "runtime/weights.h"

namespace thimble {

// A planned run with its memory: the arena, the programs bound to it, and the ends of the data
// pipeline. Allocates when made, never afterwards.
class Session {
 public:
  Session(const Setup& setup, const Plan& plan);

  WeightStore& weights() { return weights_; }
  // Once they have their values: what no step writes lies in a file of this folder from now on, if
  // that takes it.
  void map_constant(const std::string& folder) {
    arena_.map_constant(main_.memory.constant_bytes, folder);
    weights_.keep_constant(main_.memory.constant_bytes);
  }

  // The examples to go through.
  enum class Part : uint8_t { training, validation, test, pictures };  // of training, in order

  // A loader that fills this session's batch slots; one at a time.
  std::unique_ptr<BatchLoader> open_loader(Part part);

  struct Result {
    double loss = 0;  // mean over the examples
    double correct = 0;
  };
  // One step, on as many of the loader's batches as the plan has microbatches; nothing at the end
  // of the epoch.
  std::optional<Result> train_step(BatchLoader& loader, double learning_rate, int64_t step);
  Result evaluate_step(int slot);

  // Where the frozen part is not trained with: what it made in the last evaluate_step, for each
  // example, and the labels of that batch (-1: there is no example, or it is broken).
  std::span<float> features() const;
  std::span<const int32_t> labels(int slot) const;
  // From now on training reads these.
  void use_features(std::unique_ptr<FeatureFile> features) { features_ = std::move(features); }

  struct Evaluation {
    double loss = 0;
    double accuracy = 0;
    int64_t examples = 0;
    int64_t skipped = 0;
  };
  // Sees the answer to each good picture: its number in the part, its label, and the logits, which
  // are there for evaluation alone (Setup::logits).
  using OnAnswer =
      std::function<void(int64_t picture, int32_t label, std::span<const float> logits)>;
  // Nothing when `should_stop`, asked before each batch, held.
  std::optional<Evaluation> evaluate(Part part, const std::function<bool()>& should_stop = {},
                                     const OnAnswer& on_answer = {});

 private:
  const Block& block(const std::string& name) const;
  template <class T>
  T* named(const std::string& name) const;
  std::vector<Slots> slots(const Schedule& schedule) const;
  Result metrics() const;
  std::span<const float> logits_of(int64_t example) const;
  void begin_pictures();
  bool sum_patches(BatchLoader& loader);

  const Setup& setup_;
  const Plan& plan_;
  const int64_t examples_;  // in one run of a program
  const int64_t parts_;     // runs that a picture takes; 1: each sees whole pictures
  const bool two_passes_;   // training: evaluate a picture's patches before they are trained on
  const Program& main_;     // the program with most tensors
  Arena arena_;
  std::optional<PageFile> pages_;  // where the plan pages; gone before the arena is
  Executor train_;
  Executor evaluate_;
  WeightStore weights_;
  std::unique_ptr<FeatureFile> features_;
  // What every step touches.
  float* loss_ = nullptr;
  float* correct_ = nullptr;
  std::span<float> patch_sums_;
  const float* logits_ = nullptr;   // (examples_, classes); null where they are not kept
  float* learning_rate_ = nullptr;  // training only
  int32_t* counter_ = nullptr;      // training only
  std::array<int32_t*, 2> labels_ = {};
};

}  // namespace thimble
