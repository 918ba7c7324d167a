#include "transforms/masks.h"

#include <gtest/gtest.h>

#include "ops/core/builder.h"
#include "support/check_backends.h"
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

// Only what `trains` accepts is trained.
Graph frozen_net(bool (*trains)(const std::string& name)) {
  Graph graph = small_net("mobilenet_v2", 2, "frozen");
  for (Tensor& t : graph.tensors) t.trainable = t.trainable && trains(t.name);
  return graph;
}
bool is_bias(const std::string& name) { return name.ends_with(".bias"); }
bool is_head(const std::string& name) { return name.starts_with("fc."); }

// Maps of numbers that forward makes and a later phase reads.
std::vector<std::string> maps_kept(const Graph& graph) {
  std::vector<bool> made(graph.tensors.size());
  std::vector<std::string> kept;
  for (const Node& node : graph.nodes) {
    for (TensorId t : node.outputs) {
      if (t != kNoTensor && node.phase == Phase::forward) made[static_cast<size_t>(t)] = true;
    }
    for (TensorId t : node.inputs) {
      if (t == kNoTensor || node.phase == Phase::forward || !made[static_cast<size_t>(t)]) continue;
      const Tensor& tensor = graph.tensor(t);
      if (tensor.type == ElementType::f32 && tensor.shape.rank() == 4) kept.push_back(tensor.name);
    }
  }
  return kept;
}

TEST(Masks, AreAllThatTrainingOfBiasesKeeps) {
  const Graph forward = frozen_net(is_bias);
  EXPECT_EQ(maps_kept(training_graph(use_masks(forward))), std::vector<std::string>{});
  EXPECT_EQ(maps_kept(training_graph(forward)).size(), 35u);  // activated, behind each relu6
}

TEST(Masks, GiveTheSameBitsToBiases) {
  const Graph forward = frozen_net(is_bias);
  const Graph plain = training_graph(forward);
  const Graph masked = training_graph(use_masks(forward));
  for (const std::string& backend : backend_names()) {
    EXPECT_TRUE(trained_state(plain, plain, backend) == trained_state(masked, plain, backend))
        << backend;
  }
}

// Norms folded into convolutions, as exporters do: activations stand alone.
Graph folded_net(bool (*trains)(const std::string& name)) {
  GraphBuilder b("folded");
  TensorId x = b.images({2, 3, 12, 12});
  for (const char* name : {"a", "b", "c"}) {
    x = b.layer("conv2d", name, {x},
                {{"out_channels", int64_t{20}},
                 {"kernel", both(3)},
                 {"padding", ints({1, 1, 1, 1})},
                 {"bias", int64_t{1}}});
    x = b.layer(*name == 'b' ? "relu" : "relu6", std::string(name) + ".act", {x});
  }
  x = b.layer("flatten", "flat", {b.layer("global_average_pool", "pool", {x})});
  b.classify(b.layer("linear", "fc", {x}, {{"out_features", int64_t{10}}}));
  for (Tensor& t : b.graph().tensors) t.trainable = t.trainable && trains(t.name);
  return b.graph();
}

TEST(Masks, StandForActivationsOnTheirOwnWhereWeightsAreFrozen) {
  const Graph biases = folded_net(is_bias);
  EXPECT_EQ(maps_kept(training_graph(biases)).size(), 3u);
  EXPECT_EQ(maps_kept(training_graph(use_masks(biases))), std::vector<std::string>{});
  // What a trained convolution reads is kept anyway, and tells.
  const Graph last =
      folded_net([](const std::string& name) { return is_bias(name) || name == "c.weight"; });
  EXPECT_EQ(maps_kept(training_graph(use_masks(last))),
            (std::vector<std::string>{"b.act", "b.act"}));
  // Nothing is computed behind what is trained.
  const Graph head = folded_net(is_head);
  EXPECT_EQ(use_masks(head), head);
  const Graph all = folded_net([](const std::string&) { return true; });
  EXPECT_EQ(use_masks(all), all);
}

TEST(Masks, OfActivationsOnTheirOwnGiveTheSameBits) {
  const Graph forward = folded_net(is_bias);
  const Graph plain = training_graph(forward);
  const Graph masked = training_graph(use_masks(forward));
  for (const std::string& backend : backend_names()) {
    EXPECT_TRUE(trained_state(plain, plain, backend) == trained_state(masked, plain, backend))
        << backend;
  }
}

TEST(Masks, AreNotMadeWhereNothingIsTrained) {
  const Graph masked = use_masks(frozen_net(is_head));
  for (const Node& node : masked.nodes) {
    EXPECT_TRUE(node.op != "batch_norm" || node.outputs[3] == kNoTensor) << node.name;
  }
}

// By kernels that read no src, what the full ones give.
TEST(Masks, OfBiasesAloneAgreeWithTrainingEverything) {
  const Graph all = small_net("mobilenet_v2", 2, "frozen");
  const Graph biases = use_masks(frozen_net(is_bias));
  const Differentiated full = differentiate(all, all.find("loss"));
  const Differentiated few = differentiate(biases, biases.find("loss"));
  const Values values = draw_inputs(full.graph, 5);
  Interpreter<double> a(full.graph), b(few.graph);
  a.set(values);
  for (size_t t = 0; t < values.size(); ++t) {
    if (!values[t].empty()) b.set(few.graph.find(full.graph.tensors[t].name), values[t]);
  }
  a.run();
  b.run();
  int compared = 0;
  for (size_t t = 0; t < all.tensors.size(); ++t) {
    if (!is_bias(all.tensors[t].name)) continue;
    const TensorId same = biases.find(all.tensors[t].name);
    expect_near(b.get(few.diffs[static_cast<size_t>(same)]), a.get(full.diffs[t]), 1e-10,
                all.tensors[t].name);
    ++compared;
  }
  EXPECT_EQ(compared, 53);
}

TEST(Masks, ChangeNothingWithoutJoinedActivations) {
  const Graph forward = small_net("lenet", 3);
  EXPECT_EQ(use_masks(forward).tensors, forward.tensors);
}

}  // namespace
}  // namespace thimble
