#include <gtest/gtest.h>

#include "ops/core/builder.h"
#include "support/check_op.h"
#include "support/expect_error.h"
#include "support/interpreter.h"

namespace thimble {
namespace {

Attributes cut(std::vector<int64_t> sizes, int64_t axis = 1) {
  return {{"sizes", ints(std::move(sizes))}, {"axis", axis}};
}

TEST(Split, HoldsItsContract) {
  check_op("split",
           {{.inputs = {f32({2, 6, 3, 5})}, .attributes = cut({1, 3, 2}), .seeded = {0, 1, 2}},
            {.inputs = {f32({2, 4})}, .attributes = cut({4}), .seed_parts = 2},
            // Whole blocks of channels.
            {.inputs = {f32({2, 96, 5, 3})}, .attributes = cut({16, 48, 32}), .seeded = {0, 2}},
            {.inputs = {f32({3, 64, 4, 4})}, .attributes = cut({32, 32}), .seeded = {0, 1}},
            {.inputs = {f32({5, 3})}, .attributes = cut({2, 3}, 0), .seeded = {0, 1}},
            {.inputs = {f32({1, 2, 3, 7})}, .attributes = cut({6, 1}, 3), .seeded = {0, 1}}});
}

TEST(Slice, PassesItsGradientToItsRange) {
  const auto range = [](int64_t begin, int64_t end) {
    return Attributes{{"axis", int64_t{1}}, {"begin", begin}, {"end", end}};
  };
  check_op("slice", {{.inputs = {f32({2, 6, 3})}, .attributes = range(0, 2)},
                     {.inputs = {f32({2, 6, 3})}, .attributes = range(2, 5)},
                     {.inputs = {f32({2, 6, 3, 2})}, .attributes = range(5, 6)}});
}

TEST(Split, GivesZeroGradientToPartsThatNobodyReads) {
  check_op("split", {{.inputs = {f32({2, 6, 3})}, .attributes = cut({1, 3, 2}), .seeded = {0, 2}},
                     {.inputs = {f32({2, 6, 3})}, .attributes = cut({1, 3, 2}), .seeded = {1}}});
}

TEST(Split, CutsEachRow) {
  const auto parts = run_op(
      "split", {.inputs = {f32({2, 3}, exactly({1, 2, 3, 4, 5, 6}))}, .attributes = cut({1, 2})});
  EXPECT_EQ(parts, (std::vector<std::vector<double>>{{1, 4}, {2, 3, 5, 6}}));
}

TEST(Split, LeavesOutOutputsThatNobodyAskedFor) {
  Graph graph = op_graph("split", {.inputs = {f32({2, 3})}, .attributes = cut({1, 2})});
  graph.nodes[0].outputs[0] = kNoTensor;
  Interpreter<double> interpreter(graph);
  interpreter.set(graph.find("in0"), {1, 2, 3, 4, 5, 6});
  interpreter.run();
  EXPECT_EQ(interpreter.get(graph.nodes[0].outputs[1]), (std::vector<double>{2, 3, 5, 6}));
}

TEST(Split, NamesWhatDoesNotFit) {
  const auto infer = [](const Attributes& a) {
    op_graph("split", {.inputs = {f32({2, 6})}, .attributes = a});
  };
  expect_user_error([&] { infer(cut({6}, 2)); }, "axis 2 is not one of the 2 axes of (2, 6)");
  expect_user_error([&] { infer(cut({})); }, "sizes must be positive, got []");
  expect_user_error([&] { infer(cut({6, 0})); }, "sizes must be positive, got [6,0]");
  expect_user_error(
      [&] {
        infer(cut({1, 2}));
      },
      "sizes [1,2] add up to 3, but axis 1 of (2, 6) has 6");
}

TEST(SplitBackward, NamesWhatDoesNotFit) {
  const auto infer = [](std::vector<TestInput> diffs) {
    op_graph("split_backward", {.inputs = std::move(diffs), .attributes = cut({1, 2})});
  };
  expect_user_error([&] { infer({f32({2, 1})}); }, "2 parts, but 1 gradients");
  expect_user_error([&] { infer({absent(), absent()}); }, "the gradient of at least one part");
  expect_user_error(
      [&] {
        infer({absent(), f32({2, 3})});
      },
      "gradient 1 must be (2, 2), got (2, 3)");
}

TEST(Slice, KeepsAHalfOpenRange) {
  const OpCase c = {.inputs = {f32({2, 4}, exactly({1, 2, 3, 4, 5, 6, 7, 8}))},
                    .attributes = {{"begin", int64_t{1}}, {"end", int64_t{3}}}};
  EXPECT_EQ(run_op("slice", c)[0], (std::vector<double>{2, 3, 6, 7}));
}

TEST(Slice, RefusesARangeOutsideTheAxis) {
  const auto infer = [](int64_t begin, int64_t end) {
    op_graph("slice", {.inputs = {f32({2, 4})}, .attributes = {{"begin", begin}, {"end", end}}});
  };
  expect_user_error([&] { infer(2, 5); }, "[2, 5) is not a range of axis 1 of (2, 4)");
  expect_user_error([&] { infer(2, 2); }, "[2, 2) is not a range");
  expect_user_error([&] { infer(-1, 2); }, "[-1, 2) is not a range");
}

}  // namespace
}  // namespace thimble
