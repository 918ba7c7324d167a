#include "autodiff/class_weights.h"

#include <gtest/gtest.h>

#include "autodiff/differentiate.h"
#include "models/model.h"
#include "support/interpreter.h"

namespace thimble {
namespace {

Graph lenet(int64_t batch) {
  ModelOptions options;
  options.batch = batch;
  options.classes = 3;
  return with_class_weights(build_model("lenet", options));
}

TEST(ClassWeights, AreDataOfTheirOwn) {
  const Graph graph = lenet(2);
  const Tensor& weights = graph.tensor(graph.find(kClassWeights));
  EXPECT_EQ(weights.shape, Shape{3});
  EXPECT_EQ(weights.role, Role::data);
  EXPECT_FALSE(weights.trainable);
}

TEST(ClassWeights, AreReadByTrainingAndNotByEvaluation) {
  const Graph forward = lenet(2);
  const TensorId weights = forward.find(kClassWeights);
  const auto readers = [&](const Graph& graph) {
    std::vector<std::string> ops;
    for (const Node& node : graph.nodes) {
      if (std::count(node.inputs.begin(), node.inputs.end(), weights) > 0) ops.push_back(node.op);
    }
    return ops;
  };
  const Graph training = differentiate(forward, forward.find("loss")).graph;
  EXPECT_EQ(readers(training),
            (std::vector<std::string>{"softmax_cross_entropy", "softmax_cross_entropy_backward"}));
  EXPECT_EQ(readers(inference_graph(forward)), std::vector<std::string>{});
}

}  // namespace
}  // namespace thimble
