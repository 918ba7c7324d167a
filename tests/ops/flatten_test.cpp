#include <gtest/gtest.h>

#include "autodiff/differentiate.h"
#include "support/check_op.h"

namespace thimble {
namespace {

TEST(Flatten, HoldsItsContract) {
  check_op("flatten", {{.inputs = {f32({2, 3, 5, 7})}, .seed_parts = 2},
                       {.inputs = {f32({3, 4})}},
                       {.inputs = {f32({3})}}});
}

TEST(Flatten, KeepsTheBatchAndTheOrder) {
  const OpCase c = {.inputs = {f32({2, 1, 2, 2}, exactly({1, 2, 3, 4, 5, 6, 7, 8}))}};
  EXPECT_EQ(output_shape("flatten", c), (Shape{2, 4}));
  EXPECT_EQ(run_op("flatten", c)[0], (std::vector<double>{1, 2, 3, 4, 5, 6, 7, 8}));
}

TEST(Flatten, LeavesTheBatchSizeOpenInBackward) {
  Graph graph = op_graph("flatten", {.inputs = {f32({2, 3, 5})}});
  const TensorId seed =
      graph.add_tensor({"seed", {2, 15}, ElementType::f32, Role::data, {}, false});
  const Differentiated d =
      differentiate(graph, {graph.nodes[0].outputs[0]}, {seed}, {graph.find("in0")});
  ASSERT_EQ(d.graph.nodes.back().op, "reshape");
  EXPECT_EQ(d.graph.nodes.back().attributes.integers("shape"), (std::vector<int64_t>{-1, 3, 5}));
}

}  // namespace
}  // namespace thimble
