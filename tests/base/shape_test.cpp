#include "base/shape.h"

#include <gtest/gtest.h>

#include "support/expect_error.h"

namespace thimble {
namespace {

TEST(Shape, CountsElements) {
  EXPECT_EQ((Shape{2, 3, 5, 7}).elements(), 210);
  EXPECT_EQ((Shape{4, 0}).elements(), 0);
  EXPECT_EQ(Shape{}.elements(), 1);
  EXPECT_EQ((Shape{100000, 100000}).elements(), 10000000000);
}

TEST(Shape, ComparesRankAndSizes) {
  EXPECT_EQ((Shape{2, 3}), (Shape{2, 3}));
  EXPECT_NE((Shape{2, 3}), (Shape{3, 2}));
  EXPECT_NE((Shape{2}), (Shape{2, 1}));
  EXPECT_NE((Shape{0}), Shape{});
}

TEST(Shape, PrintsItsSizes) {
  EXPECT_EQ(str_cat(Shape{2, 3}), "(2, 3)");
  EXPECT_EQ(str_cat(Shape{}), "()");
}

TEST(Shape, HoldsSixDimensions) {
  Shape shape{1, 2, 3, 4, 5, 6};
  EXPECT_EQ(shape.rank(), 6);
  EXPECT_EQ(shape[5], 6);
  expect_internal_error([&] { shape.push_back(7); }, "a shape has at most 6 dimensions");
}

}  // namespace
}  // namespace thimble
