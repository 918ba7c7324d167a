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

// Squeeze-excitation: 3 and 19 channels do not fill their lanes, 8 and 16 may.
TEST(Mul, HoldsItsContractWithAFactorForEachPlane) {
  check_op("mul", {{.inputs = {f32({2, 3, 5, 7}), f32({2, 3, 1, 1})}},
                   {.inputs = {f32({2, 19, 3, 4}), f32({2, 19, 1, 1})}, .seed_parts = 2},
                   {.inputs = {f32({3, 16, 4, 4}), f32({3, 16, 1, 1})}},
                   {.inputs = {f32({1, 40, 1, 5}), f32({1, 40, 1, 1})}},
                   {.inputs = {f32({2, 8, 1, 1}), f32({2, 8, 1, 1})}}});
}

TEST(Mul, MultipliesEachPlaneByItsFactor) {
  const OpCase c = {
      .inputs = {f32({1, 2, 1, 2}, exactly({1, 2, 3, 4})), f32({1, 2, 1, 1}, exactly({10, -1}))}};
  EXPECT_EQ(run_op("mul", c)[0], (std::vector<double>{10, 20, -3, -4}));
  EXPECT_EQ(output_shape("mul", c), (Shape{1, 2, 1, 2}));
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
  expect_user_error(
      [] {
        op_graph("mul", {.inputs = {f32({2, 3, 4, 4}), f32({1, 3, 1, 1})}});
      },
      "mul: shapes (2, 3, 4, 4) and (1, 3, 1, 1) must be equal");
}

}  // namespace
}  // namespace thimble
