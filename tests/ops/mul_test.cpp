#include <gtest/gtest.h>

#include "support/check_op.h"
#include "support/expect_error.h"

namespace thimble {
namespace {

TEST(Mul, HoldsItsContract) {
  check_op("mul", {{.inputs = {f32({2, 3, 5, 7}), f32({2, 3, 5, 7})}},
                   {.inputs = {f32({3, 4}), f32({3, 4})}, .seed_parts = 3},
                   {.inputs = {f32({1}), f32({1})}},
                   // Enough elements for several threads.
                   {.inputs = {constant({1, 2, 160, 160}), constant({1, 2, 160, 160})}}});
}

TEST(Mul, IsTheProduct) {
  EXPECT_EQ(
      run_op("mul", {.inputs = {f32({3}, exactly({1, 2, -3})), f32({3}, exactly({0.5, 0, 3}))}})[0],
      (std::vector<double>{0.5, 0, -9}));
}

TEST(Mul, SavesBothInputs) {
  EXPECT_EQ(saved_by("mul", {.inputs = {f32({3}), f32({3})}}), "src_0, src_1");
}

TEST(Mul, RefusesUnequalShapes) {
  expect_user_error(
      [] {
        op_graph("mul", {.inputs = {f32({2, 3}), f32({3, 2})}});
      },
      "mul: shapes (2, 3) and (3, 2) must be equal");
}

}  // namespace
}  // namespace thimble
