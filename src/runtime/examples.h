#pragma once

#include <vector>

#include "data/dataset.h"
#include "runtime/setup.h"

namespace thimble {

// What is asked for of classes that are not equally frequent, and of examples kept aside. Throws
// UserError for what makes no sense.
void check_examples(const TrainOptions& options);

// Of the training data that was just opened: sorts it by class where that is asked for, and keeps
// the validation part aside.
void arrange_examples(Setup& setup);

// What an example of each class counts in the loss, so that all classes count the same and the mean
// over the examples is 1 (sklearn's "balanced"): examples / (classes that occur * those of the
// class). 0 of classes without examples.
std::vector<float> balanced_weights(const std::vector<int64_t>& counts);

}  // namespace thimble
