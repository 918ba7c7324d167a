#pragma once

#include <functional>
#include <memory>

#include "data/feature_file.h"
#include "runtime/session.h"

namespace thimble {

// Throws UserError when the options say something else that needs the pictures in each step.
void check_cacheable(const TrainOptions& options);

// Says in the setup, whose forward graph is complete, which tensor training reads from a file, and
// what has to be booked for that. Throws UserError when there is no such tensor.
void read_features(Setup& setup);

struct FeatureWatch {
  std::function<void(int64_t done, int64_t pictures)> on_progress;  // after each batch
  std::function<bool()> should_stop;
};

// The features of all training pictures, in the run folder. Made by the evaluation program, from
// the session's weights, where they are not there yet, are not whole, or are of other weights, data
// or kernels: features.json says which. Null when it was asked to stop.
std::unique_ptr<FeatureFile> open_features(Session& session, const Setup& setup, const Plan& plan,
                                           const FeatureWatch& watch);

}  // namespace thimble
