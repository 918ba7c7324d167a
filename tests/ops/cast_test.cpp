#include <gtest/gtest.h>

#include "base/bf16.h"
#include "ops/core/builder.h"
#include "support/arena_run.h"
#include "support/check_op.h"
#include "support/expect_error.h"

namespace thimble {
namespace {

TEST(Cast, HoldsItsContract) {
  check_op("cast", {{.inputs = {f32({2, 3, 5, 7})}}, {.inputs = {f32({3, 4})}}});
}

TEST(Cast, RoundsToTheNearestBf16AndBack) {
  // 8 significant bits: 1 + 1/128 is one, 1 + 1/256 is a tie and goes to the even neighbour.
  const std::vector<double> given = {1.0078125, 1.00390625, 1.01171875, -3.14159274, 0, 1e-30};
  const std::vector<double> rounded = {1.0078125, 1, 1.015625,
                                       -3.140625, 0, double{float_of(bf16_of(1e-30F))}};
  Graph graph;
  graph.name = "casts";
  const TensorId x = graph.add_tensor({"x", {6}, ElementType::f32, Role::data, {}, false});
  const TensorId narrow =
      append_node(graph, Phase::forward, "cast", "n", {x}, {{"to", std::string("bf16")}})[0];
  const TensorId wide =
      append_node(graph, Phase::forward, "cast", "w", {narrow}, {{"to", std::string("f32")}})[0];
  EXPECT_EQ(graph.tensor(narrow).type, ElementType::bf16);
  EXPECT_EQ(graph.tensor(wide).type, ElementType::f32);
  for (const std::string& backend : backend_names()) {
    ArenaRun run(graph, backend);
    run.set(x, given);
    EXPECT_EQ(run.run_steps()[static_cast<size_t>(wide)], rounded) << backend;
    EXPECT_EQ(run.schedule().buffer(narrow).bytes, 12) << backend;
  }
}

TEST(Cast, NotANumberStaysOne) {
  const float nan = float_of(bf16_of(std::bit_cast<float>(0x7fffffffU)));
  EXPECT_TRUE(nan != nan);
}

TEST(Cast, NamesATypeThatNoTensorHas) {
  expect_user_error(
      [] {
        op_graph("cast", {.inputs = {f32({2})}, .attributes = {{"to", std::string("f16")}}});
      },
      "cast: a tensor is cast to f32 or bf16, got 'f16'");
}

}  // namespace
}  // namespace thimble
