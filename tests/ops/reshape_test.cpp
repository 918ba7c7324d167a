#include <gtest/gtest.h>

#include "ops/core/builder.h"
#include "support/check_op.h"
#include "support/expect_error.h"

namespace thimble {
namespace {

OpCase to(const Shape& src, std::vector<int64_t> shape) {
  return {.inputs = {f32(src)}, .attributes = {{"shape", ints(std::move(shape))}}};
}

TEST(Reshape, HoldsItsContract) {
  check_op("reshape", {to({2, 3, 5, 7}, {6, 35}), to({4, 6}, {2, -1, 3}), to({1}, {1, 1, 1, 1})});
}

TEST(Reshape, FillsTheOpenSizeWithWhatIsLeft) {
  EXPECT_EQ(output_shape("reshape", to({4, 6}, {2, -1, 3})), (Shape{2, 4, 3}));
  EXPECT_EQ(output_shape("reshape", to({4, 6}, {-1})), (Shape{24}));
  EXPECT_EQ(output_shape("reshape", to({4, 6}, {-1, 24})), (Shape{1, 24}));
}

TEST(Reshape, NamesWhatDoesNotFit) {
  const auto infer = [](std::vector<int64_t> shape) {
    op_graph("reshape", to({4, 6}, std::move(shape)));
  };
  expect_user_error([&] { infer({5, 5}); }, "(4, 6) has 24 elements, which do not fill [5,5]");
  expect_user_error([&] { infer({5, -1}); }, "(4, 6) has 24 elements, which do not fill [5,-1]");
  expect_user_error([&] { infer({-1, -1}); }, "at most one size may be -1, got [-1,-1]");
  expect_user_error([&] { infer({0, -1}); }, "sizes must be positive, or -1");
  expect_user_error([&] { infer({-2, 12}); }, "sizes must be positive, or -1");
  expect_user_error([&] { infer({}); }, "shape takes 1 to 6 sizes, got []");
  expect_user_error([&] { infer({24, 1, 1, 1, 1, 1, 1}); }, "shape takes 1 to 6 sizes");
}

}  // namespace
}  // namespace thimble
