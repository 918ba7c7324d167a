#include "runtime/examples.h"

#include <algorithm>
#include <numeric>

#include "data/class_sorted.h"

namespace thimble {

void check_examples(const TrainOptions& o) {
  const DataChoice& data = o.data;
  require(data.balance == "none" || data.balance == "loss" || data.balance == "draw",
          "data.balance is '", data.balance, "', needs none, loss or draw");
  require(data.validation >= 0 && data.validation < 1, "data.validation is ", data.validation,
          ", needs a share of the training examples, from 0 and below 1");
  require(o.patience >= 0 && o.patience <= 1'000'000, "patience is ", o.patience,
          ", needs 0 to 1000000 epochs");
  require(o.patience == 0 || data.validation > 0, "a patience of ", o.patience,
          " epochs needs examples that are not trained on to tell ",
          "which epoch is best; hint: --validation 0.2 keeps a fifth aside");
}

void arrange_examples(Setup& setup) {
  const DataChoice& data = setup.options.data;
  if (data.validation == 0 && data.balance != "draw") return;
  setup.whole_train_data = std::move(setup.train_data);
  ValidationSplit split =
      split_by_class(*setup.whole_train_data, data.validation, setup.options.seed);
  if (data.balance == "draw") setup.train_loader.class_ends = split.train->class_ends();
  setup.train_data = std::move(split.train);
  setup.validation_data = std::move(split.validation);
}

std::vector<float> balanced_weights(const std::vector<int64_t>& counts) {
  const auto examples =
      static_cast<double>(std::accumulate(counts.begin(), counts.end(), int64_t{0}));
  const auto absent = std::count(counts.begin(), counts.end(), 0);
  const double present = static_cast<double>(counts.size()) - static_cast<double>(absent);
  std::vector<float> weights;
  for (int64_t count : counts) {
    const double weight = examples / (present * static_cast<double>(std::max<int64_t>(count, 1)));
    weights.push_back(count > 0 ? static_cast<float>(weight) : 0.0f);
  }
  return weights;
}

}  // namespace thimble
