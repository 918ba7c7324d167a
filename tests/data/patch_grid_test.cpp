#include "data/patch_grid.h"

#include <gtest/gtest.h>

#include <vector>

#include "support/expect_error.h"

namespace thimble {
namespace {

PatchGrid grid(const Shape& picture, const Shape& patch, int64_t step = 0) {
  return {picture, patch, step};
}

// The first pixel of each patch of a picture whose pixels are their numbers.
std::vector<int> corners(const PatchGrid& g) {
  std::vector<float> picture(static_cast<size_t>(g.picture.elements()));
  for (size_t i = 0; i < picture.size(); ++i) picture[i] = static_cast<float>(i);
  std::vector<float> patch(static_cast<size_t>(g.patch.elements()));
  std::vector<int> first;
  for (int64_t i = 0; i < g.count(); ++i) {
    g.cut(picture.data(), i, patch.data());
    first.push_back(static_cast<int>(patch[0]));
  }
  return first;
}

TEST(PatchGrid, CountsPatches) {
  EXPECT_EQ(grid({3, 224, 224}, {3, 32, 32}).count(), 49);
  EXPECT_EQ(grid({3, 128, 128}, {3, 32, 32}, 16).count(), 49);
  EXPECT_EQ(grid({1, 32, 64}, {1, 32, 32}).count(), 2);
  EXPECT_EQ(grid({1, 33, 65}, {1, 32, 32}).count(), 6);
  EXPECT_EQ(grid({1, 8, 8}, {1, 8, 8}).count(), 1);
}

TEST(PatchGrid, MovesTheLastOnesBackToTheEdge) {
  EXPECT_EQ(corners(grid({1, 2, 5}, {1, 2, 2})), (std::vector<int>{0, 2, 3}));
  EXPECT_EQ(corners(grid({1, 3, 4}, {1, 2, 2})), (std::vector<int>{0, 2, 4, 6}));
  EXPECT_EQ(corners(grid({1, 2, 4}, {1, 2, 2}, 1)), (std::vector<int>{0, 1, 2}));
}

TEST(PatchGrid, CutsAllChannelsRowByRow) {
  const PatchGrid g = grid({2, 2, 3}, {2, 2, 2});
  std::vector<float> picture(12), patch(8);
  for (size_t i = 0; i < 12; ++i) picture[i] = static_cast<float>(i);
  g.cut(picture.data(), 1, patch.data());
  EXPECT_EQ(patch, (std::vector<float>{1, 2, 4, 5, 7, 8, 10, 11}));
}

TEST(PatchGrid, RefusesPatchesThatDoNotFit) {
  expect_user_error(
      [] {
        grid({3, 16, 64}, {3, 32, 32}).check();
      },
      "patches of 32x32 do not fit in pictures of 16x64");
  expect_user_error(
      [] {
        grid({3, 64, 64}, {3, 32, 32}, 40).check();
      },
      "begin 40 pixels apart would leave pixels out; needed at most 32");
}

}  // namespace
}  // namespace thimble
