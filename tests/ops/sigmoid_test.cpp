#include <gtest/gtest.h>

#include "support/check_op.h"

namespace thimble {
namespace {

// 3 and 19 channels leave lanes of blocks empty: there zero must stay zero.
TEST(Sigmoid, HoldsItsContract) {
  check_op("sigmoid", {{.inputs = {f32({2, 3, 5, 7}, uniform(-4, 4))}},
                       {.inputs = {f32({2, 19, 3, 2}, uniform(-4, 4))}},
                       {.inputs = {f32({2, 16, 2, 2}, uniform(-4, 4))}, .seed_parts = 2},
                       {.inputs = {f32({3, 4})}},
                       {.inputs = {f32({2, 8, 1, 1})}}});
}

TEST(Sigmoid, IsTheLogisticFunction) {
  const auto out = run_op("sigmoid", {.inputs = {f32({3}, exactly({0, 800, -800}))}})[0];
  EXPECT_EQ(out, (std::vector<double>{0.5, 1, 0}));
}

TEST(Sigmoid, SavesItsOutput) { EXPECT_EQ(saved_by("sigmoid", {.inputs = {f32({3})}}), "dst"); }

}  // namespace
}  // namespace thimble
