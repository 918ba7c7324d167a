#include <gtest/gtest.h>

#include "support/check_op.h"
#include "support/optimizer_steps.h"

namespace thimble {
namespace {

TEST(AdamW, HoldsItsContract) {
  check_op("adamw",
           {{.inputs = {constant({3, 5}), constant({3, 5}), constant({1}, exactly({0.125}))}},
            {.inputs = {constant({4}), constant({4}), constant({1})},
             .attributes = {{"weight_decay", 0.5}}}});
}

// Numbers of torch.optim.AdamW 1.13 in float64; its default decay is 0.01.
TEST(AdamW, StepsAsPyTorch) {
  expect_optimizer_steps(
      "adamw", {}, 0.01,
      {{0.4899500009999999, -1.2398750005, 1.9898000003333334, 0.0},
       {0.49549604074841286, -1.2413783355447674, 1.9817677472150275, -0.0074413681304592956},
       {0.4900625988253744, -1.2401011243212785, 1.9755144276799934, -0.009727027715847762}});
}

TEST(AdamW, ShrinksWeightsByTheLearningRateTimesTheDecay) {
  const Attributes a = {{"beta1", 0.8}, {"beta2", 0.95}, {"epsilon", 1e-3}, {"weight_decay", 0.25}};
  expect_optimizer_steps(
      "adamw", a, 0.1,
      {{0.388490099009901, -1.119247512437811, 1.8503322259136212, 0.0},
       {0.4388729894871906, -1.1131941449627434, 1.7285887071604864, -0.07747092908925028},
       {0.3687708915152451, -1.074413467267798, 1.6301562807560286, -0.09446127698246107}});
}

}  // namespace
}  // namespace thimble
