#include <gtest/gtest.h>

#include "support/check_op.h"
#include "support/expect_error.h"
#include "support/sparse_bytes.h"

namespace thimble {
namespace {

const SparseShape kShape({10, 10}, 1, 1);

OpCase mark_case(double step, const std::vector<double>& explored) {
  const std::vector<uint8_t> index = index_of(every(9, 0, 100), kShape);  // 0, 9, ..., 99
  return {.inputs = {{{std::ssize(index)}, ElementType::u8, exactly(as_doubles(index)), false},
                     i32({4}, exactly({step, 0, 0, 0})),
                     {{16}, ElementType::u8, exactly(explored), false}},
          .attributes = {{"shape", std::vector<int64_t>{10, 10}},
                         {"every", int64_t{4}},
                         {"drop", 0.3},
                         {"values", int64_t{12}}}};
}

TEST(MarkActive, AddsABitForEachActiveUnit) {
  std::vector<double> before(16);
  before[3] = 4;  // unit 26
  const std::vector<double> after = run_op("mark_active", mark_case(4, before))[0];
  for (size_t unit = 0; unit < 128; ++unit) {
    const bool marked = static_cast<int>(after[unit / 8]) >> unit % 8 & 1;
    EXPECT_EQ(marked, unit == 26 || (unit % 9 == 0 && unit < 100)) << unit;
  }
}

TEST(MarkActive, DoesNothingWherePositionsStay) {
  const std::vector<double> none(16);
  EXPECT_EQ(run_op("mark_active", mark_case(5, none))[0], none);
}

TEST(MarkActive, RefusesTooFewBytes) {
  OpCase c = mark_case(4, std::vector<double>(16));
  c.inputs[2] = {{12}, ElementType::u8, exactly(std::vector<double>(12)), false};
  expect_user_error([&] { op_graph("mark_active", c); }, "explored needs 16 bytes, got (12)");
}

TEST(MarkActive, HoldsItsContract) {
  check_op("mark_active", {mark_case(4, std::vector<double>(16))});
}

}  // namespace
}  // namespace thimble
