#include <gtest/gtest.h>

#include <cmath>

#include "ops/core/op.h"
#include "support/check_op.h"
#include "support/expect_error.h"

namespace thimble {
namespace {

struct Key {
  double step = 3, seed = 42, sample_offset = 0;
  int64_t layer = 1;
};

TestInput counter(const Key& k) { return i32({4}, exactly({k.step, k.seed, k.sample_offset, 0})); }

OpCase with(TestInput src, double probability, const Key& k = {}, int64_t training = 1) {
  return {.inputs = {std::move(src), counter(k)},
          .attributes = {{"probability", probability}, {"layer", k.layer}, {"training", training}}};
}

// What dropout makes of ones: the mask, scaled.
std::vector<double> mask(const Shape& shape, double probability, const Key& k = {}) {
  return run_op("dropout", with(f32(shape, exactly({1})), probability, k))[0];
}

TEST(Dropout, HoldsItsContract) {
  check_op("dropout", {with(f32({2, 3, 5, 7}), 0.5), with(f32({3, 1}), 0.25), with(f32({5}), 0.75),
                       with(f32({2, 6}), 0), with(f32({2, 6}), 0.5, {}, 0),
                       with(f32({3, 1401}), 0.1)});  // large enough for threads
}

// Any change of these bits breaks resuming from old checkpoint files.
TEST(Dropout, DrawsTheMaskOfItsKey) {
  EXPECT_EQ(mask({2, 6}, 0.5), (std::vector<double>{2, 2, 0, 0, 2, 0, 2, 2, 0, 2, 0, 0}));
}

TEST(Dropout, ZeroesTheGivenShareAndScalesTheRestToKeepTheMean) {
  constexpr int64_t kCount = 40000;
  for (double p : {0.1, 0.3, 0.5, 0.9}) {
    double zeros = 0;
    for (double m : mask({4, kCount / 4}, p)) {
      if (m == 0) {
        ++zeros;
      } else {
        EXPECT_DOUBLE_EQ(m, 1 / (1 - p));
      }
    }
    const double deviation = std::sqrt(kCount * p * (1 - p));
    EXPECT_NEAR(zeros, kCount * p, 4 * deviation) << "probability " << p;
  }
}

TEST(Dropout, DrawsAnotherMaskForEachStepSeedLayerAndSample) {
  const Shape shape = {1, 64};
  const auto first = mask(shape, 0.5);
  EXPECT_EQ(mask(shape, 0.5), first);
  EXPECT_NE(mask(shape, 0.5, {.step = 4}), first);
  EXPECT_NE(mask(shape, 0.5, {.seed = 43}), first);
  EXPECT_NE(mask(shape, 0.5, {.sample_offset = 1}), first);
  EXPECT_NE(mask(shape, 0.5, {.layer = 2}), first);
}

TEST(Dropout, DrawsTheSameMaskInMicrobatches) {
  const auto whole = mask({3, 7}, 0.5);
  const auto first = mask({2, 7}, 0.5);
  const auto last = mask({1, 7}, 0.5, {.sample_offset = 2});
  EXPECT_EQ(std::vector<double>(whole.begin(), whole.begin() + 14), first);
  EXPECT_EQ(std::vector<double>(whole.begin() + 14, whole.end()), last);
}

TEST(Dropout, PassesEverythingUnchangedOutsideTraining) {
  const std::vector<double> src = {1, -2, 3, 0.5};
  EXPECT_EQ(run_op("dropout", with(f32({1, 4}, exactly(src)), 0.5, {}, 0))[0], src);
}

TEST(Dropout, SavesTheCounterOnly) {
  const Graph graph = op_graph("dropout", {.inputs = {f32({2, 6})}});
  const Saves saves = saves_of(graph, graph.nodes[0]);
  EXPECT_EQ(saves.inputs, std::vector<size_t>{1});
  EXPECT_TRUE(saves.outputs.empty());
  EXPECT_EQ(graph.nodes[0].inputs[1], graph.find("counter"));
}

TEST(Dropout, NamesWhatDoesNotFit) {
  const auto infer = [](double p) { op_graph("dropout", with(f32({2, 6}), p)); };
  expect_user_error([&] { infer(1); }, "probability must be in [0, 1), got 1");
  expect_user_error([&] { infer(-0.5); }, "probability must be in [0, 1), got -0.5");
  expect_user_error(
      [] {
        op_graph("dropout", {.inputs = {f32({2, 6}), i32({3}, exactly({0}))}});
      },
      "counter must be (4), got (3)");
}

}  // namespace
}  // namespace thimble
