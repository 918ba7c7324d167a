#include <gtest/gtest.h>

#include "support/check_op.h"
#include "support/expect_error.h"

namespace thimble {
namespace {

Attributes groups(int64_t count, const Attributes& more = {}) {
  Attributes all = {{"groups", count}};
  for (const auto& [name, value] : more) all.set(name, value);
  return all;
}

std::vector<TestInput> inputs(const Shape& src, bool addend, Draw draw = uniform(-1, 1)) {
  return {f32(src, draw), addend ? f32(src) : absent()};
}

TEST(GroupNorm, HoldsItsContract) {
  check_op("group_norm",
           {
               {.inputs = {f32({2, 4, 3, 5})}, .attributes = groups(2)},
               {.inputs = {f32({1, 6, 3, 2})}, .attributes = groups(3), .seed_parts = 2},
               {.inputs = {f32({2, 3, 2, 2})}, .attributes = groups(1)},
               {.inputs = {f32({2, 3, 2, 3})}, .attributes = groups(3)},  // instance normalisation
               {.inputs = {f32({3, 6})}, .attributes = groups(2, {{"epsilon", 0.5}})},
           });
}

TEST(GroupNorm, HoldsItsContractWithAddendActivationAndMask) {
  for (const char* activation : {"none", "relu", "relu6", "leaky_relu"}) {
    for (bool addend : {false, true}) {
      for (int64_t mask : {0, 1}) {
        SCOPED_TRACE(str_cat(activation, addend ? ", addend" : "", mask != 0 ? ", mask" : ""));
        const Attributes more = {{"activation", std::string(activation)}, {"mask", mask}};
        std::vector<TestInput> wide = inputs({2, 4, 3, 5}, addend);
        wide.push_back(f32({4}, uniform(6, 9)));  // relu6 cuts off on both sides
        wide.push_back(f32({4}, uniform(2, 4)));
        check_op("group_norm", {{.inputs = wide, .attributes = groups(2, more)},
                                {.inputs = inputs({2, 6, 3, 3}, addend),
                                 .attributes = groups(3, more),
                                 .seed_parts = 2}});
      }
    }
  }
}

// Groups within a block of 8 or 16 lanes, as wide as one, across several and across their edges.
TEST(GroupNorm, HoldsItsContractWhereverGroupsMeetChannelBlocks) {
  const auto c = [](int64_t channels, int64_t count) {
    return OpCase{.inputs = inputs({3, channels, 1, 2}, true),
                  .attributes = groups(count, {{"activation", std::string("relu")}})};
  };
  check_op("group_norm", {c(32, 16), c(32, 2), c(32, 1), c(20, 4), c(20, 2), c(24, 2), c(18, 6)});
}

TEST(GroupNorm, KeepsItsAccuracyFarFromZero) {
  // A one-pass variance in f32 would have no correct digit here.
  OpCase c = {.inputs = inputs({2, 4, 8, 8}, false, uniform(999, 1001)),
              .attributes = groups(2),
              .f32_tolerance = 2e-3};
  check_op("group_norm", {c});
}

TEST(GroupNorm, NormalisesEachImageAndGroup) {
  const auto results = run_op(
      "group_norm", {.inputs = {f32({1, 4, 1, 2}, exactly({1, 2, 3, 6, 0, 0, 0, 0})), absent(),
                                f32({4}, exactly({2, 4, 1, 1})), f32({4}, exactly({0, 1, 5, 6}))},
                     .attributes = groups(2, {{"epsilon", 0.5}})});
  EXPECT_EQ(results[0], (std::vector<double>{-2, -1, 1, 7, 5, 5, 6, 6}));
  EXPECT_EQ(results[1], (std::vector<double>{3, 0}));
  EXPECT_EQ(results[2][0], 0.5);
}

TEST(GroupNorm, SavesTheOutputOnlyForAnActivatedSum) {
  const auto saved = [](bool addend, const Attributes& more) {
    return saved_by("group_norm",
                    {.inputs = inputs({2, 4}, addend), .attributes = groups(2, more)});
  };
  const Attributes::Entry relu = {"activation", std::string("relu")};
  EXPECT_EQ(saved(false, {}), "src, gamma, beta, mean, inv_std");
  EXPECT_EQ(saved(false, {relu}), "src, gamma, beta, mean, inv_std");
  EXPECT_EQ(saved(true, {relu}), "src, gamma, beta, dst, mean, inv_std");
  EXPECT_EQ(saved(true, {relu, {"mask", int64_t{1}}}), "src, gamma, beta, mask, mean, inv_std");
}

TEST(GroupNorm, RefusesWhatItCannotNormalise) {
  const auto refuses = [](std::vector<TestInput> all, int64_t count, const std::string& words) {
    expect_user_error([&] { op_graph("group_norm", {.inputs = all, .attributes = groups(count)}); },
                      words);
  };
  refuses({f32({2, 4, 3})}, 2, "group_norm: src must be (N, C, H, W) or (N, C), got (2, 4, 3)");
  refuses({f32({2, 4, 3, 3})}, 3,
          "group_norm: 3 groups must divide the 4 channels of src (2, 4, 3, 3)");
  refuses({f32({2, 4, 3, 3})}, 0, "group_norm: 0 groups must divide");
  refuses({f32({2, 4, 1, 1})}, 4, "has one value in each of 4 groups, whose variance is zero");
  refuses({f32({2, 4}), f32({4, 2})}, 2, "the addend (4, 2) must have the shape of src (2, 4)");
}

}  // namespace
}  // namespace thimble
