#include "base/names.h"

#include <gtest/gtest.h>

namespace thimble {
namespace {

TEST(Names, NearestNeedsTheFewestChanges) {
  EXPECT_EQ(nearest_name("resnet15", {"lenet", "resnet50", "resnet18_cifar"}), "resnet50");
  EXPECT_EQ(nearest_name("bacth", {"budget", "batch"}), "batch");
}

TEST(Names, BeginningOfANameIsNear) {
  EXPECT_EQ(nearest_name("stride", {"string", "stride_in"}), "stride_in");
  EXPECT_EQ(nearest_name("mobilenet_v", {"lenet", "mobilenet_v1_patch"}), "mobilenet_v1_patch");
}

TEST(Names, NothingNearIsNoName) {
  EXPECT_EQ(nearest_name("zzzzzzzz", {"train", "plan"}), "");
  EXPECT_EQ(nearest_name("", {"train", "plan"}), "");
  EXPECT_EQ(nearest_name("relu", {}), "");
}

TEST(Names, QuestionIsAskedOnlyWhenANameIsNear) {
  EXPECT_EQ(did_you_mean("pln", {"train", "plan"}), "; did you mean 'plan'?");
  EXPECT_EQ(did_you_mean("zzzzzzzz", {"train", "plan"}), "");
}

TEST(LastPart, IsTheSameWithASlashBehindIt) {
  EXPECT_EQ(last_part("data/photos"), "photos");
  EXPECT_EQ(last_part("data/photos/"), "photos");
  EXPECT_EQ(last_part("photos"), "photos");
}

}  // namespace
}  // namespace thimble
