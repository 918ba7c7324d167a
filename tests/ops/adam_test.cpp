#include <gtest/gtest.h>

#include "support/check_op.h"
#include "support/expect_error.h"
#include "support/optimizer_steps.h"

namespace thimble {
namespace {

TEST(Adam, HoldsItsContract) {
  check_op("adam",
           {{.inputs = {constant({3, 5}), constant({3, 5}), constant({1}, exactly({0.125}))}},
            {.inputs = {constant({1}), constant({1}), constant({1})},
             .attributes = {{"weight_decay", 0.5}}},
            {.inputs = {constant({2, 3, 71, 101}), constant({2, 3, 71, 101}), constant({1})},
             .attributes = {{"beta1", 0.5}, {"beta2", 0.75}, {"epsilon", 0.01}}}});
}

// Numbers of torch.optim.Adam 1.13 in float64.
TEST(Adam, StepsAsPyTorch) {
  expect_optimizer_steps(
      "adam", {}, 0.01,
      {{0.4900000009999999, -1.2400000005, 1.9900000003333334, 0.0},
       {0.4955950357485128, -1.2416273230448174, 1.9821667272150607, -0.0074413681304592956},
       {0.4902111434295492, -1.2404742496548828, 1.976111584454748, -0.00972777185266081}});
}

TEST(Adam, AddsWeightDecayToTheGradient) {
  const Attributes a = {{"beta1", 0.8}, {"beta2", 0.95}, {"epsilon", 1e-3}, {"weight_decay", 0.25}};
  expect_optimizer_steps(
      "adam", a, 0.1,
      {{0.4004424778761062, -1.1501947419668939, 1.9001248439450686, 0.0},
       {0.425383460895328, -1.0810758248595949, 1.8041194486189573, -0.07747092908925028},
       {0.3603232603145308, -0.998293505096565, 1.7105308765288314, -0.09503247846663522}});
}

TEST(Adam, KeepsTwoStatesForEachWeight) {
  const Graph graph =
      op_graph("adam", {.inputs = {constant({3, 5}), constant({3, 5}), constant({1})}});
  for (const char* name : {"layer.exp_avg", "layer.exp_avg_sq"}) {
    const TensorId state = graph.find(name);
    ASSERT_NE(state, kNoTensor) << name;
    EXPECT_EQ(graph.tensor(state).shape, (Shape{3, 5}));
    EXPECT_EQ(graph.tensor(state).role, Role::optimizer);
    EXPECT_EQ(graph.tensor(state).init, Init{});
  }
  EXPECT_EQ(graph.nodes[0].updates.size(), 3u);
}

TEST(Adam, NamesWhatDoesNotFit) {
  const auto infer = [](const Shape& diff, const Attributes& a) {
    op_graph("adam",
             {.inputs = {constant({3, 5}), constant(diff), constant({1})}, .attributes = a});
  };
  expect_user_error([&] { infer({5, 3}, {}); }, "weights (3, 5) and gradient (5, 3)");
  expect_user_error([&] { infer({3, 5}, {{"beta1", 1.0}}); }, "beta1 must be in [0, 1), got 1");
  expect_user_error([&] { infer({3, 5}, {{"beta2", -0.5}}); }, "beta2 must be in [0, 1), got -0.5");
  expect_user_error([&] { infer({3, 5}, {{"epsilon", 0.0}}); }, "epsilon must be positive, got 0");
}

}  // namespace
}  // namespace thimble
