#include "transforms/masks.h"

#include <gtest/gtest.h>

#include "support/sanitizers.h"
#include "transforms/fixtures.h"

namespace thimble {
namespace {

using transforms_test::small_net;
using transforms_test::trained_state;
using transforms_test::training_graph;

TEST(Masks, GiveTheSameBits) {
  std::vector<std::pair<std::string, std::string>> nets = {{"resnet18_cifar", "batch"}};
  if (!kSanitized) {
    nets.insert(nets.end(),
                {{"resnet50", "batch"}, {"mobilenet_v2", "batch"}, {"resnet18_cifar", "group"}});
  }
  for (const auto& [model, norm] : nets) {
    const Graph forward = small_net(model, 3, norm);
    const Graph plain = training_graph(forward);
    const Graph masked = training_graph(use_masks(forward));
    for (const std::string& backend : backend_names()) {
      EXPECT_TRUE(trained_state(plain, plain, backend) == trained_state(masked, plain, backend))
          << model << ", " << norm << " norm, on " << backend;
    }
  }
}

// The sums of a residual network are joined with their activation, 8 in ResNet-18.
TEST(Masks, TakeOneBitForEachElement) {
  const Graph masked = use_masks(small_net("resnet18_cifar", 3));
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
  const Graph forward = small_net("lenet", 3);
  EXPECT_EQ(use_masks(forward).tensors, forward.tensors);
}

}  // namespace
}  // namespace thimble
