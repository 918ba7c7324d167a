#include "runtime/session.h"

#include <algorithm>

#include "autodiff/class_weights.h"
#include "transforms/cached_features.h"
#include "transforms/patches.h"

namespace thimble {
namespace {

const Program& main_program(const Setup& setup, const Plan& plan) {
  return setup.training ? plan.train : plan.evaluate;
}

}  // namespace

Session::Session(const Setup& setup, const Plan& plan)
    : setup_(setup),
      plan_(plan),
      examples_(setup.options.model.batch * setup.patches / plan.numerics.microbatches),
      parts_(std::max<int64_t>(1, setup.patches / examples_)),
      two_passes_(setup.two_passes),
      main_(main_program(setup, plan)),
      arena_(plan.arena_bytes),
      pages_(plan.paged_bytes > 0
                 ? std::optional<PageFile>(std::in_place, setup.options.offload_folder)
                 : std::nullopt),
      train_(plan.train.schedule, plan.train.memory, arena_.data(), slots(plan.train.schedule),
             pages_ ? &*pages_ : nullptr),
      evaluate_(plan.evaluate.schedule, plan.evaluate.memory, arena_.data(),
                slots(plan.evaluate.schedule)),
      weights_(main_.schedule, main_.memory, arena_.data(), plan.arena_bytes,
               pages_ ? &*pages_ : nullptr) {
  if (pages_) pages_->open();
  loss_ = named<float>("loss");
  correct_ = named<float>("correct");
  if (setup.options.patches.height > 0) {
    const Block& sums = block(kPatchSums);
    patch_sums_ = {named<float>(kPatchSums), static_cast<size_t>(sums.bytes) / sizeof(float)};
  }
  if (!setup.logits.empty()) logits_ = named<float>(setup.logits);
  labels_ = {named<int32_t>("labels"), named<int32_t>(kNextLabels)};
  if (!setup.training) return;
  learning_rate_ = named<float>("lr");
  counter_ = named<int32_t>("counter");
  if (!setup.class_weights.empty()) {
    const Block& weights = block(kClassWeights);
    // Classes that the data does not have follow those that it has.
    std::fill_n(named<float>(kClassWeights), weights.bytes / int64_t{sizeof(float)}, 0.0f);
    std::copy(setup.class_weights.begin(), setup.class_weights.end(), named<float>(kClassWeights));
  }
}

const Block& Session::block(const std::string& name) const {
  for (const Block& b : main_.memory.blocks) {
    if (b.name == name) return b;
  }
  throw InternalError(str_cat("internal error: no memory is called ", name));
}

template <class T>
T* Session::named(const std::string& name) const {
  return reinterpret_cast<T*>(arena_.data() + block(name).offset);
}

std::vector<Slots> Session::slots(const Schedule& schedule) const {
  std::vector<Slots> result;
  const auto add = [&](const std::string& name, const char* next) {
    const BufferId buffer = schedule.find(name);
    if (buffer != kNoBuffer) result.push_back({buffer, {named<void>(name), named<void>(next)}});
  };
  add("images", kNextImages);
  add("labels", kNextLabels);
  // Evaluation makes them, in one place.
  const bool reads_features = !setup_.features.empty() && schedule.find("images") == kNoBuffer;
  if (reads_features) add(kCachedFeatures, kNextFeatures);
  return result;
}

std::unique_ptr<BatchLoader> Session::open_loader(Part part) {
  const bool training = part == Part::training;
  const bool cached = training && !setup_.features.empty();
  const std::array<BatchSlot, 2> memory = {
      BatchSlot{named<float>(cached ? kCachedFeatures : "images"), named<int32_t>("labels")},
      BatchSlot{named<float>(cached ? kNextFeatures : kNextImages), named<int32_t>(kNextLabels)}};
  const Dataset& data = training || part == Part::pictures ? *setup_.train_data
                        : part == Part::validation         ? *setup_.validation_data
                                                           : *setup_.test_data;
  LoaderOptions options = training ? setup_.train_loader : setup_.test_loader;
  options.batch = examples_;
  options.group = plan_.numerics.microbatches;
  if (training && parts_ > 1 && two_passes_) options.twice = parts_;
  if (cached) options.features = features_.get();
  return std::make_unique<BatchLoader>(data, options, named<void>(kLoaderMemory), memory);
}

Session::Result Session::metrics() const { return {*loss_, *correct_}; }

std::optional<Session::Result> Session::train_step(BatchLoader& loader, double learning_rate,
                                                   int64_t step) {
  *learning_rate_ = static_cast<float>(learning_rate);
  counter_[0] = static_cast<int32_t>(step);
  counter_[1] = static_cast<int32_t>(setup_.options.seed ^ (setup_.options.seed >> 32));
  Result total;
  for (int64_t k = 0; k < plan_.numerics.microbatches; ++k) {
    const bool begins = two_passes_ && parts_ > 1 && k % parts_ == 0;
    const bool ended = begins && !sum_patches(loader);
    const auto batch = ended ? std::nullopt : loader.next();
    ensure(batch || k == 0, "the data ended within a step");
    if (!batch) return std::nullopt;
    if (two_passes_ && parts_ == 1) {
      begin_pictures();
      evaluate_.run(static_cast<size_t>(batch->slot));
    }
    counter_[2] = static_cast<int32_t>(k * examples_);
    if (k == 0) train_.run_part(Executor::Part::prepare);
    train_.run_part(Executor::Part::body, static_cast<size_t>(batch->slot));
    const Result r = metrics();
    total.loss += r.loss / static_cast<double>(plan_.numerics.microbatches);
    total.correct += r.correct;
  }
  train_.run_part(Executor::Part::finish);
  return total;
}

void Session::begin_pictures() { std::fill(patch_sums_.begin(), patch_sums_.end(), 0.0f); }

// The first pass over the parts of a picture; false at the end of the data.
bool Session::sum_patches(BatchLoader& loader) {
  begin_pictures();
  for (int64_t part = 0; part < parts_; ++part) {
    const auto batch = loader.next();
    ensure(batch || part == 0, "the data ended within a picture");
    if (!batch) return false;
    evaluate_.run(static_cast<size_t>(batch->slot));
  }
  return true;
}

Session::Result Session::evaluate_step(int slot) {
  evaluate_.run(static_cast<size_t>(slot));
  return metrics();
}

std::span<float> Session::features() const {
  return {named<float>(kCachedFeatures), static_cast<size_t>(examples_ * setup_.feature_values)};
}

std::span<const int32_t> Session::labels(int slot) const {
  return {labels_[static_cast<size_t>(slot)], static_cast<size_t>(examples_)};
}

std::span<const float> Session::logits_of(int64_t example) const {
  ensure(logits_ != nullptr, "training keeps no logits");
  const auto classes = static_cast<size_t>(setup_.options.model.classes);
  return {logits_ + example * static_cast<int64_t>(classes), classes};
}

std::optional<Session::Evaluation> Session::evaluate(Part which,
                                                     const std::function<bool()>& should_stop,
                                                     const OnAnswer& on_answer) {
  Evaluation total;
  const auto loader = open_loader(which);
  loader->begin_epoch(0);
  double loss = 0;
  double correct = 0;
  int64_t part = 0;  // of a picture
  int64_t first_picture = 0;
  while (const auto batch = loader->next()) {
    if (should_stop && should_stop()) return std::nullopt;
    if (part % parts_ == 0) begin_pictures();
    const Result r = evaluate_step(batch->slot);
    if (++part % parts_ != 0) continue;
    // The loss is a mean over the examples that count. Each picture answers in all of its rows.
    const int32_t* labels = labels_[static_cast<size_t>(batch->slot)];
    const int64_t rows = std::min(setup_.patches, examples_);
    int64_t counted = 0;
    for (int64_t i = 0; i < examples_; i += rows) {
      counted += labels[i] >= 0;
      if (labels[i] < 0 || !on_answer) continue;
      on_answer(first_picture + i / rows, labels[i], logits_of(i));
    }
    first_picture += examples_ / rows;
    loss += r.loss * static_cast<double>(counted);
    correct += r.correct / static_cast<double>(rows);
    total.examples += counted;
  }
  const auto n = static_cast<double>(std::max<int64_t>(total.examples, 1));
  total.loss = loss / n;
  total.accuracy = correct / n;
  total.skipped = loader->skipped();
  return total;
}

}  // namespace thimble
