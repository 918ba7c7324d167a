#include <gtest/gtest.h>

#include "support/check_op.h"
#include "support/expect_error.h"

namespace thimble {
namespace {

Attributes patches(int64_t count, int64_t mean, int64_t training) {
  return {{"patches", count}, {"mean", mean}, {"training", training}};
}

TEST(PictureMean, HoldsItsContract) {
  check_op("picture_mean",
           {{.inputs = {f32({6, 5}), constant({2, 5})}, .attributes = patches(3, 0, 1)},
            {.inputs = {constant({6, 5}), constant({3, 5})}, .attributes = patches(3, 1, 1)},
            {.inputs = {constant({6, 5}), constant({2, 5})},
             .attributes = patches(3, 0, 0),
             .seeded = {}},
            {.inputs = {constant({2, 5}), constant({4, 5})},
             .attributes = patches(6, 1, 0),
             .seeded = {}}});
}

TEST(PictureMean, AddsInEvaluationAndAnswersWithTheMean) {
  const auto results = run_op("picture_mean", {.inputs = {constant({4, 1}, exactly({1, 3, 5, 7})),
                                                          constant({2, 1}, exactly({0, 0}))},
                                               .attributes = patches(2, 0, 0)});
  EXPECT_EQ(results[0], (std::vector<double>{2, 2, 6, 6}));
  EXPECT_EQ(results[1], (std::vector<double>{4, 12}));
}

TEST(PictureMean, HoldsPartsOfOnePicture) {
  const auto results =
      run_op("picture_mean",
             {.inputs = {constant({2, 1}, exactly({1, 3})), constant({1, 1}, exactly({8}))},
              .attributes = patches(4, 0, 0)});
  EXPECT_EQ(results[0], (std::vector<double>{3, 3}));
  EXPECT_EQ(results[1], (std::vector<double>{12}));
}

TEST(PictureMean, ReadsCompleteSumsInTraining) {
  const OpCase c = {.inputs = {constant({2, 1}, exactly({1, 3})), constant({1, 1}, exactly({8}))}};
  OpCase mean = c, each = c;
  mean.attributes = patches(2, 1, 1);
  each.attributes = patches(2, 0, 1);
  EXPECT_EQ(run_op("picture_mean", mean)[0], (std::vector<double>{4, 4}));
  EXPECT_EQ(run_op("picture_mean", each)[0], (std::vector<double>{1, 3}));
}

TEST(PictureMean, RefusesRowsThatCutPictures) {
  const auto refuses = [](const Shape& logits, const Shape& sums, const std::string& words) {
    expect_user_error(
        [&] {
          op_graph("picture_mean",
                   {.inputs = {f32(logits), constant(sums)}, .attributes = patches(4, 0, 1)});
        },
        words);
  };
  refuses({6, 2}, {2, 2}, "whole pictures of 4 patches or an equal part of one, got (6, 2)");
  refuses({8, 2}, {1, 2}, "need sums by picture, got (1, 2)");
  refuses({8, 2}, {2, 3}, "need sums by picture, got (2, 3)");
}

}  // namespace
}  // namespace thimble
