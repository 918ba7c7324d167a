#include "schedule/work.h"

#include <gtest/gtest.h>

#include "ops/core/builder.h"

namespace thimble {
namespace {

uint64_t work_of_convolution(int64_t batch, int64_t channels, int64_t stride) {
  GraphBuilder b("work");
  const TensorId x = b.images({batch, 3, 8, 8});
  b.layer("conv2d", str_cat("conv", batch), {x},
          {{"out_channels", channels}, {"kernel", both(3)}, {"stride", both(stride)}});
  return work_of(b.graph(), b.graph().nodes[0]);
}

// Kept in files: another number would forget what was measured, and on another machine too.
TEST(Work, IsNamedByOpAttributesAndShapes) {
  EXPECT_EQ(work_of_convolution(2, 4, 1), work_of_convolution(2, 4, 1));
  EXPECT_NE(work_of_convolution(2, 4, 1), work_of_convolution(3, 4, 1));
  EXPECT_NE(work_of_convolution(2, 4, 1), work_of_convolution(2, 5, 1));
  EXPECT_NE(work_of_convolution(2, 4, 1), work_of_convolution(2, 4, 2));
}

TEST(Work, OfACopyIsNamedByItsLayouts) {
  const Shape shape{1, 16, 4, 4};
  const Layout plain = plain_layout(shape);
  const Layout blocked = {"nChw16c", 256};
  EXPECT_EQ(work_of_reorder(shape, ElementType::f32, plain, blocked),
            work_of_reorder(shape, ElementType::f32, plain, blocked));
  EXPECT_NE(work_of_reorder(shape, ElementType::f32, plain, blocked),
            work_of_reorder(shape, ElementType::f32, blocked, plain));
}

}  // namespace
}  // namespace thimble
