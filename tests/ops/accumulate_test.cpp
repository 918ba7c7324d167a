#include <gtest/gtest.h>

#include "support/check_op.h"
#include "support/expect_error.h"

namespace thimble {
namespace {

TEST(Accumulate, HoldsItsContract) {
  check_op(
      "accumulate",
      {{.inputs = {constant({3, 5}), constant({3, 5})}, .seeded = {}},
       {.inputs = {constant({7}), constant({7})}, .attributes = {{"scale", 0.25}}, .seeded = {}}});
  check_op("clear", {{.inputs = {constant({3, 5})}, .seeded = {}}});
}

TEST(Accumulate, AddsTheScaledTensor) {
  const auto results = run_op(
      "accumulate", {.inputs = {constant({2}, exactly({1, 2})), constant({2}, exactly({10, 20}))},
                     .attributes = {{"scale", 0.5}}});
  EXPECT_EQ(results.back(), (std::vector<double>{6, 12}));
  EXPECT_EQ(run_op("clear", {.inputs = {constant({2}, exactly({1, 2}))}}).back(),
            (std::vector<double>{0, 0}));
}

TEST(Accumulate, NeedsOneShape) {
  expect_user_error(
      [] {
        op_graph("accumulate", {.inputs = {constant({2}), constant({3})}});
      },
      "accumulate: sum");
}

}  // namespace
}  // namespace thimble
