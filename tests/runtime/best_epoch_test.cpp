#include "runtime/best_epoch.h"

#include <gtest/gtest.h>

#include "support/expect_error.h"

namespace thimble {
namespace {

TEST(BestEpoch, TheHigherAccuracyIsBetterAndOfEqualOnesTheLowerLoss) {
  const BestEpoch best = {3, 0.5, 0.75};
  EXPECT_TRUE(BestEpoch{}.is_beaten_by(best));
  EXPECT_TRUE(best.is_beaten_by({4, 0.9, 0.8}));
  EXPECT_FALSE(best.is_beaten_by({4, 0.1, 0.7}));
  EXPECT_TRUE(best.is_beaten_by({4, 0.4, 0.75}));
  EXPECT_FALSE(best.is_beaten_by({4, 0.5, 0.75}));
}

TEST(BestEpoch, ComesBackFromMetadataToTheBit) {
  std::map<std::string, std::string> metadata = {{"step", "7"}};
  BestEpoch{}.add_to(metadata);
  EXPECT_EQ(metadata.size(), 1u);
  EXPECT_FALSE(BestEpoch::of(metadata, "file").is_known());
  BestEpoch{12, 0.1 + 0.2, 1.0 / 3}.add_to(metadata);
  const BestEpoch back = BestEpoch::of(metadata, "file");
  EXPECT_EQ(back.epoch, 12);
  EXPECT_EQ(back.loss, 0.1 + 0.2);
  EXPECT_EQ(back.accuracy, 1.0 / 3);
}

TEST(BestEpoch, BrokenMetadataNameTheFile) {
  expect_user_error(
      [] {
        BestEpoch::of({{"best_epoch", "x"}}, "a.safetensors");
      },
      "a.safetensors: its best_epoch is 'x', needs a number");
  expect_user_error(
      [] {
        BestEpoch::of({{"best_epoch", "1"}}, "a.safetensors");
      },
      "a.safetensors: its best_loss is '', needs a number");
}

}  // namespace
}  // namespace thimble
