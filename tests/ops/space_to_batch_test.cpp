#include <gtest/gtest.h>

#include "ops/core/builder.h"
#include "support/check_op.h"
#include "support/expect_error.h"
#include "support/interpreter.h"

namespace thimble {
namespace {

Attributes block(int64_t side) { return {{"block", side}}; }

TEST(SpaceToBatch, HoldsItsContract) {
  check_op("space_to_batch",
           {{.inputs = {f32({2, 3, 4, 6})}},
            {.inputs = {f32({1, 5, 6, 9})}, .attributes = block(3)},
            {.inputs = {f32({3, 16, 4, 2})}, .seed_parts = 2},
            {.inputs = {f32({2, 16, 2, 2})}},           // pixels alone remain
            {.inputs = {constant({2, 32, 20, 20})}}});  // large enough for threads
}

TEST(BatchToSpace, HoldsItsContract) {
  check_op("batch_to_space", {{.inputs = {f32({8, 3, 2, 3})}},
                              {.inputs = {f32({9, 2, 2, 3})}, .attributes = block(3)},
                              {.inputs = {f32({4, 16, 2, 1})}, .seed_parts = 2},
                              {.inputs = {constant({8, 32, 10, 10})}}});
}

TEST(SpaceToBatch, PhasesOfAnExampleFollowEachOther) {
  const OpCase c = {.inputs = {f32({2, 1, 2, 2}, exactly({1, 2, 3, 4, 5, 6, 7, 8}))}};
  EXPECT_EQ(output_shape("space_to_batch", c), (Shape{8, 1, 1, 1}));
  EXPECT_EQ(run_op("space_to_batch", c)[0], (std::vector<double>{1, 2, 3, 4, 5, 6, 7, 8}));
  const OpCase channels = {.inputs = {f32({1, 2, 2, 2}, exactly({1, 2, 3, 4, 5, 6, 7, 8}))}};
  EXPECT_EQ(run_op("space_to_batch", channels)[0], (std::vector<double>{1, 5, 2, 6, 3, 7, 4, 8}));
}

// Batch norm's mean and deviation of a map that was taken apart are those of the whole map.
TEST(SpaceToBatch, KeepsTheStatisticsOfTheWholeMap) {
  const auto statistics = [](bool apart) {
    GraphBuilder b("net");
    TensorId x = b.images({2, 3, 4, 4});
    if (apart) x = b.layer("space_to_batch", "apart", {x});
    const auto norm = b.layer_outputs("batch_norm", "norm", {x, kNoTensor});
    Interpreter<double> interpreter(b.graph());
    std::vector<double> images;
    for (int i = 0; i < 96; ++i) images.push_back((i * i % 17) - 0.3 * (i % 5));
    interpreter.set(b.graph().find("images"), images);
    interpreter.set(b.graph().find("norm.weight"), {1, 1, 1});
    interpreter.run();
    auto all = interpreter.get(norm[1]);
    const auto deviation = interpreter.get(norm[2]);
    all.insert(all.end(), deviation.begin(), deviation.end());
    return all;
  };
  const auto whole = statistics(false), apart = statistics(true);
  ASSERT_EQ(whole.size(), 6u);
  for (size_t i = 0; i < whole.size(); ++i) EXPECT_NEAR(whole[i], apart[i], 1e-12) << i;
}

TEST(SpaceToBatch, NamesWhatDoesNotFit) {
  const auto infer = [](const std::string& op, const Shape& src) {
    op_graph(op, {.inputs = {f32(src)}});
  };
  expect_user_error(
      [&] {
        infer("space_to_batch", {2, 3, 5, 4});
      },
      "whose sides are multiples of 2, got (2, 3, 5, 4)");
  expect_user_error(
      [&] {
        infer("batch_to_space", {6, 4, 4, 4});
      },
      "whose examples are a multiple of 4, got (6, 4, 4, 4)");
}

}  // namespace
}  // namespace thimble
