#include <gtest/gtest.h>

#include "ops/core/op.h"
#include "support/check_op.h"
#include "support/expect_error.h"

namespace thimble {
namespace {

TEST(LeakyRelu, HoldsItsContract) {
  check_op("leaky_relu", {{.inputs = {f32({2, 3, 5, 7})}},
                          {.inputs = {f32({3, 4})}, .attributes = {{"alpha", 0.25}}},
                          {.inputs = {f32({7})}, .attributes = {{"alpha", 2.0}}}});
}

TEST(LeakyRelu, ScalesNegativeValuesByAlpha) {
  EXPECT_EQ(run_op("leaky_relu", {.inputs = {f32({4}, exactly({-2, 0, 0.5, 3}))},
                                  .attributes = {{"alpha", 0.25}}})[0],
            (std::vector<double>{-0.5, 0, 0.5, 3}));
}

TEST(LeakyRelu, IsInvertedByTheInverseSlope) {
  const Graph graph =
      op_graph("leaky_relu", {.inputs = {f32({4})}, .attributes = {{"alpha", 0.25}}});
  const auto inverse = find_op("leaky_relu").inverse(graph, graph.nodes[0], 0);
  EXPECT_EQ(inverse.node->op, "leaky_relu");
  EXPECT_EQ(inverse.node->attributes.real("alpha"), 4);
  EXPECT_NEAR(inverse.loss_db, 6.5, 0.1);
}

TEST(LeakyRelu, SavesItsOutput) {
  EXPECT_EQ(saved_by("leaky_relu", {.inputs = {f32({4})}}), "dst");
}

TEST(LeakyRelu, RefusesASlopeThatLosesTheSign) {
  for (double alpha : {0.0, -0.5}) {
    expect_user_error(
        [&] {
          op_graph("leaky_relu", {.inputs = {f32({4})}, .attributes = {{"alpha", alpha}}});
        },
        str_cat("leaky_relu: alpha must be positive, got ", alpha));
  }
}

}  // namespace
}  // namespace thimble
