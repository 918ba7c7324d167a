#include "transforms/masks.h"

#include <gtest/gtest.h>

#include "autodiff/differentiate.h"
#include "models/model.h"
#include "support/check_net.h"
#include "support/sanitizers.h"

namespace thimble {
namespace {

Graph forward_of(const std::string& model) {
  ModelOptions o;
  o.batch = 3;
  o.width = 0.25;
  o.height = model == "lenet" ? 28 : 32;
  return build_model(model, o);
}

Graph training_graph(const Graph& forward) {
  return add_optimizer(differentiate(forward, forward.find("loss")), {"sgd", {}});
}

// Everything that the plain graph keeps from step to step, after three steps.
std::vector<std::vector<std::byte>> trained(const Graph& graph, const Graph& plain,
                                            const std::string& backend) {
  ArenaRun run(graph, backend);
  const Values inputs = draw_inputs(plain, 5);
  std::vector<std::vector<std::byte>> state;
  for (size_t t = 0; t < plain.tensors.size(); ++t) {
    if (!inputs[t].empty()) run.set(graph.find(plain.tensors[t].name), inputs[t]);
  }
  for (int step = 0; step < 3; ++step) run.run();
  for (const Tensor& t : plain.tensors) {
    const bool kept = is_persistent(t.role) && t.role != Role::data;
    if (kept) state.push_back(run.bytes(graph.find(t.name)));
  }
  return state;
}

TEST(Masks, GiveTheSameBits) {
  std::vector<std::string> names = {"resnet18_cifar"};
  if (!kSanitized) names.insert(names.end(), {"resnet50", "mobilenet_v2"});
  for (const std::string& model : names) {
    const Graph forward = forward_of(model);
    const Graph plain = training_graph(forward);
    const Graph masked = training_graph(use_masks(forward));
    for (const std::string& backend : backend_names()) {
      EXPECT_TRUE(trained(plain, plain, backend) == trained(masked, plain, backend))
          << model << " on " << backend;
    }
  }
}

// The sums of a residual network are joined with their activation, 8 in ResNet-18.
TEST(Masks, TakeOneBitForEachElement) {
  const Graph masked = use_masks(forward_of("resnet18_cifar"));
  int masks = 0;
  for (const Node& node : masked.nodes) {
    if (node.op != "batch_norm" || node.outputs[3] == kNoTensor) continue;
    ++masks;
    const Tensor& mask = masked.tensor(node.outputs[3]);
    EXPECT_EQ(mask.shape.elements() * 8, masked.tensor(node.outputs[0]).shape.elements());
    EXPECT_EQ(mask.type, ElementType::u8);
  }
  EXPECT_EQ(masks, 8);
}

TEST(Masks, ChangeNothingWithoutJoinedActivations) {
  const Graph forward = forward_of("lenet");
  EXPECT_EQ(use_masks(forward).tensors, forward.tensors);
}

}  // namespace
}  // namespace thimble
