#pragma once

#include <memory>

#include "data/loader.h"
#include "planner/planner.h"
#include "thimble/thimble.h"

namespace thimble {

// Everything about a run that is known before its memory is planned.
struct Setup {
  TrainOptions options;  // with defaults filled in
  bool training = true;  // false: evaluation only
  // Of which the next two are parts, when they are; null otherwise.
  std::unique_ptr<Dataset> whole_train_data;
  std::unique_ptr<Dataset> train_data;       // null when no data was named, or for evaluation
  std::unique_ptr<Dataset> validation_data;  // null when nothing is kept aside
  std::unique_ptr<Dataset> test_data;        // null when no data was named
  std::vector<float> class_weights;          // of the loss; empty: all classes count the same
  LoaderOptions train_loader, test_loader;
  std::string model_file;          // a network's, with first values; empty: a model of the zoo
  std::vector<std::string> fresh;  // parameters that begin anew all the same
  int64_t patches = 1;             // of a picture; a batch of the graph counts them
  // The tensor (examples, classes) that evaluation leaves to be read; empty when training.
  std::string logits;
  // The tensor (examples, ...) that comes from a file in training, how many numbers it has for each
  // example, and the weights and statistics that it is made with; empty: pictures are trained on.
  std::string features;
  int64_t feature_values = 0;
  std::vector<std::string> feature_weights;
  bool two_passes = false;  // training evaluates a picture's patches before it trains on them
  PlanRequest request;
  Machine machine;      // all zero when it was not measured
  std::string kernels;  // Backend::identity
};

// Reservation names: where the loader puts the next batch, and its own memory.
inline constexpr const char* kNextImages = "images of the next batch";
inline constexpr const char* kNextLabels = "labels of the next batch";
inline constexpr const char* kNextFeatures = "features of the next batch";
inline constexpr const char* kLoaderMemory = "data loader";

// Checks and completes the options, opens the data and builds the model. Throws UserError. With
// `pictures`, these are what is evaluated.
Setup prepare(TrainOptions options, bool training, std::unique_ptr<Dataset> pictures = nullptr);

// All cores that this process may use, when `threads` is 0.
int usual_threads(int threads);

PlanReport report_of(const Plan& plan);

}  // namespace thimble
