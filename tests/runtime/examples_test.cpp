#include "runtime/examples.h"

#include <gtest/gtest.h>

#include "support/expect_error.h"

namespace thimble {
namespace {

// sklearn: compute_class_weight("balanced", classes=[0, 1, 2], y) with 10, 1 and 5 examples.
TEST(BalancedWeights, AreSklearns) {
  EXPECT_EQ(balanced_weights({10, 1, 5}), (std::vector<float>{16.0f / 30, 16.0f / 3, 16.0f / 15}));
}

TEST(BalancedWeights, ClassesWithoutExamplesDoNotCount) {
  EXPECT_EQ(balanced_weights({3, 0, 1, 0}), (std::vector<float>{4.0f / 6, 0, 2, 0}));
}

TEST(Examples, WhatMakesNoSenseIsRefused) {
  const auto refusal = [](const auto& change) {
    TrainOptions o;
    change(o);
    try {
      check_examples(o);
    } catch (const UserError& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  EXPECT_EQ(refusal([](TrainOptions&) {}), "");
  EXPECT_EQ(refusal([](TrainOptions& o) { o.data.balance = "weights"; }),
            "data.balance is 'weights', needs none, loss or draw");
  EXPECT_EQ(refusal([](TrainOptions& o) { o.data.validation = 1; }),
            "data.validation is 1, needs a share of the training examples, from 0 and below 1");
  EXPECT_EQ(refusal([](TrainOptions& o) { o.patience = -1; }),
            "patience is -1, needs 0 to 1000000 epochs");
  EXPECT_EQ(refusal([](TrainOptions& o) { o.patience = 3; }),
            "a patience of 3 epochs needs examples that are not trained on to tell which epoch is "
            "best; hint: --validation 0.2 keeps a fifth aside");
}

}  // namespace
}  // namespace thimble
