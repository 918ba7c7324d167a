#include <gtest/gtest.h>

#include "support/check_op.h"
#include "support/expect_error.h"

namespace thimble {
namespace {

Attributes slice(int64_t begin, int64_t rows) { return {{"begin", begin}, {"rows", rows}}; }
Attributes in(int64_t begin, int64_t height) { return {{"begin", begin}, {"height", height}}; }

TEST(RowSlice, HoldsItsContract) {
  check_op("row_slice",
           {{.inputs = {f32({2, 3, 5, 7})}, .attributes = slice(1, 3)},
            {.inputs = {f32({1, 17, 4, 1})}, .attributes = slice(3, 1), .seed_parts = 2},
            {.inputs = {f32({2, 16, 3, 4})}, .attributes = slice(0, 3)},
            {.inputs = {f32({1, 16, 2, 1})}, .attributes = slice(1, 1)},           // one pixel
            {.inputs = {constant({3, 40, 30, 9})}, .attributes = slice(7, 20)}});  // for threads
}

TEST(AddRows, HoldsItsContract) {
  check_op("add_rows",
           {{.inputs = {f32({2, 3, 5, 7}), f32({2, 3, 2, 7})}, .attributes = in(1, 5)},
            {.inputs = {absent(), f32({2, 3, 2, 7})}, .attributes = in(3, 5), .seed_parts = 2},
            {.inputs = {f32({1, 17, 4, 1}), constant({1, 17, 4, 1})}, .attributes = in(0, 4)},
            {.inputs = {f32({1, 16, 2, 1}), f32({1, 16, 1, 1})}, .attributes = in(1, 2)},
            {.inputs = {constant({3, 40, 30, 9}), constant({3, 40, 9, 9})},
             .attributes = in(7, 30)}});  // for threads
}

TEST(RowSlice, CutsRowsOfEveryChannel) {
  const OpCase c = {.inputs = {f32({1, 2, 3, 2}, exactly({1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}))},
                    .attributes = slice(1, 2)};
  EXPECT_EQ(output_shape("row_slice", c), (Shape{1, 2, 2, 2}));
  EXPECT_EQ(run_op("row_slice", c)[0], (std::vector<double>{3, 4, 5, 6, 9, 10, 11, 12}));
}

TEST(AddRows, LeavesTheOtherRowsAsTheyAre) {
  const TestInput rows = f32({1, 2, 1, 2}, exactly({1, 2, 3, 4}));
  EXPECT_EQ(run_op("add_rows", {.inputs = {absent(), rows}, .attributes = in(1, 2)})[0],
            (std::vector<double>{0, 0, 1, 2, 0, 0, 3, 4}));
  const TestInput sum = f32({1, 2, 2, 2}, exactly({10, 20, 30, 40, 50, 60, 70, 80}));
  EXPECT_EQ(run_op("add_rows", {.inputs = {sum, rows}, .attributes = in(0, 2)})[0],
            (std::vector<double>{11, 22, 30, 40, 53, 64, 70, 80}));
}

TEST(RowSlice, SavesNothing) {
  EXPECT_EQ(saved_by("row_slice", {.inputs = {f32({2, 3, 5, 7})}, .attributes = slice(1, 3)}), "");
}

TEST(RowSlice, NamesWhatDoesNotFit) {
  const auto cut = [](const Shape& shape, const Attributes& range) {
    op_graph("row_slice", {.inputs = {f32(shape)}, .attributes = range});
  };
  expect_user_error(
      [&] {
        cut({2, 3, 5, 7}, slice(3, 3));
      },
      "rows [3, 6) are not a range of the 5 rows of (2, 3, 5, 7)");
  expect_user_error([&] { cut({2, 3, 5, 7}, slice(-1, 3)); }, "rows [-1, 2) are not a range");
  expect_user_error([&] { cut({2, 3}, slice(0, 1)); }, "src must be (N, C, H, W), got (2, 3)");
  const auto add = [](const Shape& sum, const Shape& rows, const Attributes& range) {
    op_graph("add_rows", {.inputs = {f32(sum), f32(rows)}, .attributes = range});
  };
  expect_user_error(
      [&] {
        add({1, 1, 4, 2}, {1, 1, 3, 2}, in(2, 4));
      },
      "rows [2, 5) are not a range of 4 rows");
  expect_user_error(
      [&] {
        add({1, 1, 5, 2}, {1, 1, 3, 2}, in(1, 4));
      },
      "the sum of (1, 1, 3, 2) in 4 rows must be (1, 1, 4, 2), got (1, 1, 5, 2)");
}

}  // namespace
}  // namespace thimble
