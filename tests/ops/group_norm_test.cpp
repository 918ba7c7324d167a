#include <gtest/gtest.h>

#include "support/check_op.h"
#include "support/expect_error.h"

namespace thimble {
namespace {

Attributes groups(int64_t count) { return {{"groups", count}}; }

TEST(GroupNorm, HoldsItsContract) {
  check_op("group_norm",
           {
               {.inputs = {f32({2, 4, 3, 5})}, .attributes = groups(2)},
               {.inputs = {f32({1, 6, 3, 2})}, .attributes = groups(3), .seed_parts = 2},
               {.inputs = {f32({2, 3, 2, 2})}, .attributes = groups(1)},
               {.inputs = {f32({2, 3, 2, 3})}, .attributes = groups(3)},  // instance normalisation
               {.inputs = {f32({3, 6})}, .attributes = {{"groups", int64_t{2}}, {"epsilon", 0.5}}},
           });
}

TEST(GroupNorm, NormalisesEachImageAndGroup) {
  const auto results = run_op(
      "group_norm", {.inputs = {f32({1, 4, 1, 2}, exactly({1, 2, 3, 6, 0, 0, 0, 0})),
                                f32({4}, exactly({2, 4, 1, 1})), f32({4}, exactly({0, 1, 5, 6}))},
                     .attributes = {{"groups", int64_t{2}}, {"epsilon", 0.5}}});
  EXPECT_EQ(results[0], (std::vector<double>{-2, -1, 1, 7, 5, 5, 6, 6}));
  EXPECT_EQ(results[1], (std::vector<double>{3, 0}));
  EXPECT_EQ(results[2][0], 0.5);
}

TEST(GroupNorm, SavesSrcGammaAndItsStatistics) {
  EXPECT_EQ(saved_by("group_norm", {.inputs = {f32({2, 4})}, .attributes = groups(2)}),
            "src, gamma, mean, inv_std");
}

TEST(GroupNorm, RefusesWhatItCannotNormalise) {
  const auto refuses = [](const Shape& src, int64_t count, const std::string& words) {
    expect_user_error(
        [&] { op_graph("group_norm", {.inputs = {f32(src)}, .attributes = groups(count)}); },
        words);
  };
  refuses({2, 4, 3}, 2, "group_norm: src must be (N, C, H, W) or (N, C), got (2, 4, 3)");
  refuses({2, 4, 3, 3}, 3, "group_norm: 3 groups must divide the 4 channels of src (2, 4, 3, 3)");
  refuses({2, 4, 3, 3}, 0, "group_norm: 0 groups must divide");
  refuses({2, 4, 1, 1}, 4, "has one value in each of 4 groups, whose variance is zero");
}

}  // namespace
}  // namespace thimble
