#include "transforms/bf16.h"

#include <gtest/gtest.h>

#include <cmath>

#include "models/side_network.h"
#include "models/trained.h"
#include "support/check_backends.h"
#include "support/sanitizers.h"
#include "transforms/fixtures.h"
#include "transforms/masks.h"
#include "transforms/microbatch.h"
#include "transforms/recompute.h"

namespace thimble {
namespace {

using transforms_test::small_net;
using transforms_test::trained_state;
using transforms_test::training_graph;

struct Net {
  std::string model, norm;
};

// Batch norm over a few values of random images is chaotic: near numbers do not stay near.
std::vector<Net> calm_nets() {
  if (kSanitized) return {{"lenet", "batch"}};
  return {{"lenet", "batch"},
          {"resnet50", "frozen"},
          {"mobilenet_v1_patch", "group"},
          {"mobilenet_v1_patch", "frozen"}};
}

Graph narrow_training(const Graph& forward) { return training_graph(use_masks(use_bf16(forward))); }

int64_t bytes_of(const Graph& graph, Role role) {
  int64_t bytes = 0;
  for (const Tensor& t : graph.tensors) {
    if (t.role == role) bytes += t.shape.elements() * element_bytes(t.type);
  }
  return bytes;
}

TEST(Bf16, ActivationsAndTheirGradientsAreNarrowAndNothingElseIs) {
  const Graph graph = training_graph(use_bf16(small_net("resnet18_cifar", 4)));
  EXPECT_EQ(graph.tensor(graph.find("images")).type, ElementType::f32);
  EXPECT_EQ(graph.tensor(graph.find("images.bf16")).type, ElementType::bf16);
  EXPECT_EQ(graph.tensor(graph.find("logits")).type, ElementType::f32);
  for (const Tensor& t : graph.tensors) {
    const bool number = t.role == Role::activation || t.role == Role::difference;
    if (number && t.shape.rank() != 4) continue;
    EXPECT_EQ(t.type == ElementType::bf16, number) << t.name;
  }
  for (const Node& node : graph.nodes) {
    if (node.op != "batch_norm") continue;
    EXPECT_EQ(graph.tensor(node.outputs[1]).type, ElementType::f32) << "statistics";
  }
}

TEST(Bf16, HalvesWhatIsSaved) {
  for (const char* model : {"resnet50", "mobilenet_v1", "resnet18_cifar"}) {
    const Graph forward = build_model(model, {});
    const auto plain = bytes_of(use_masks(forward), Role::activation);
    const auto narrow = bytes_of(use_masks(use_bf16(forward)), Role::activation);
    EXPECT_NEAR(static_cast<double>(narrow) / static_cast<double>(plain), 0.5, 0.02) << model;
  }
}

// Each step of each backend from the very numbers that the portable kernels read. Where a kernel
// rounds the weights too, a product is off by a part in 512 of its terms.
TEST(Bf16, EveryKernelComputesWhatThePortableOneDoes) {
  std::vector<Net> nets = {{"lenet", "batch"}};
  if (!kSanitized)
    nets.insert(nets.end(), {{"mobilenet_v2", "batch"}, {"mobilenet_v1_patch", "group"}});
  for (const auto& [model, norm] : nets) {
    const Graph graph = training_graph(use_bf16(small_net(model, 2, norm)));
    const Values inputs = draw_inputs(graph, 7);
    ArenaRun portable(graph, "portable");
    portable.set(inputs);
    const Values expected = portable.run_steps();
    for (const std::string& backend : backend_names()) {
      if (backend == "portable") continue;
      SCOPED_TRACE(str_cat(model, ' ', norm, " on ", backend));
      ArenaRun run(graph, backend);
      run.set(inputs);
      const Values got = run.run_steps(expected);
      for (const Node& node : graph.nodes) {
        for (TensorId t : node.outputs) {
          if (t == kNoTensor || !is_scalar(graph.tensor(t).type)) continue;
          const auto i = static_cast<size_t>(t);
          expect_near(got[i], expected[i], 0.02, str_cat(node.op, ' ', graph.tensor(t).name));
        }
      }
    }
  }
}

struct Trained {
  double loss = 0;
  std::vector<double> momentum;  // after one step: the gradient
};

Trained train_once(const Graph& graph, const Graph& plain, const std::string& backend) {
  ArenaRun run(graph, backend);
  const Values inputs = draw_inputs(plain, 5);
  for (size_t t = 0; t < plain.tensors.size(); ++t) {
    const Role role = plain.tensors[t].role;
    if (inputs[t].empty() || role == Role::optimizer) continue;
    run.set(graph.find(plain.tensors[t].name), inputs[t]);
  }
  for (size_t t = 0; t < plain.tensors.size(); ++t) {
    const Tensor& tensor = plain.tensors[t];
    if (tensor.role != Role::optimizer) continue;
    const auto zeros = std::vector<double>(static_cast<size_t>(tensor.shape.elements()));
    run.set(graph.find(tensor.name), zeros);
  }
  run.run();
  Trained result;
  result.loss = run.get(graph.find("loss"))[0];
  for (const Tensor& t : plain.tensors) {
    if (t.role != Role::optimizer) continue;
    const auto values = run.get(graph.find(t.name));
    result.momentum.insert(result.momentum.end(), values.begin(), values.end());
  }
  EXPECT_GT(run.arena().touched_bytes(), run.arena().bytes() - 64) << "planned bytes are touched";
  return result;
}

double cosine(const std::vector<double>& a, const std::vector<double>& b) {
  double ab = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    ab += a[i] * b[i];
    aa += a[i] * a[i];
    bb += b[i] * b[i];
  }
  return ab / std::sqrt(aa * bb);
}

TEST(Bf16, LossAndGradientAreNearThoseOfF32) {
  for (const auto& [model, norm] : calm_nets()) {
    const Graph forward = small_net(model, 4, norm);
    const Graph plain = training_graph(forward);
    const Graph narrow = narrow_training(forward);
    for (const std::string& backend : backend_names()) {
      SCOPED_TRACE(str_cat(model, ' ', norm, " on ", backend));
      const Trained wide = train_once(plain, plain, backend);
      const Trained got = train_once(narrow, plain, backend);
      EXPECT_NEAR(got.loss / wide.loss, 1, 0.01);
      EXPECT_GT(cosine(got.momentum, wide.momentum), 0.99);
    }
  }
}

// Of the head alone: no other weight has a gradient, and the head's is near that of f32.
TEST(Bf16, TrainsTheHeadOfFrozenWeights) {
  const Graph all = small_net("mobilenet_v1_patch", 4, "frozen");
  const Graph forward = with_trained(all, "head");
  const Graph plain = training_graph(forward);
  const Graph narrow = narrow_training(forward);
  const Trained wide = train_once(plain, plain, "portable");
  const Trained got = train_once(narrow, plain, "portable");
  EXPECT_EQ(std::ssize(got.momentum), trainable_parameters(forward));
  EXPECT_LT(trainable_parameters(forward), trainable_parameters(all) / 10);
  EXPECT_GT(cosine(got.momentum, wide.momentum), 0.99);
}

TEST(Bf16, RunsAgainToTheSameBits) {
  const Graph plain = narrow_training(small_net("mobilenet_v2", 2));
  RecomputePlan plan;
  plan.stage_begins = cut_into_stages(plain);
  const auto stages = static_cast<int32_t>(plan.stage_begins.size()) - 1;
  plan.lean.assign(static_cast<size_t>(stages), true);
  for (int32_t s = 0; s < stages; ++s) plan.actions.push_back({false, s});
  for (int32_t s = stages; s-- > 0;) {
    if (s + 1 < stages) plan.actions.push_back({false, s});
    plan.actions.push_back({true, s});
  }
  const Graph again = recompute(plain, plan);
  for (const std::string& backend : backend_names()) {
    EXPECT_TRUE(trained_state(plain, plain, backend) == trained_state(again, plain, backend))
        << backend;
  }
}

TEST(Bf16, SumsTheGradientsOfMicrobatchesInF32) {
  const Graph graph = accumulate_gradients(narrow_training(small_net("mobilenet_v2", 3)), 2);
  for (const Node& node : graph.nodes) {
    if (node.op != "accumulate") continue;
    EXPECT_EQ(graph.tensor(node.inputs[1]).type, ElementType::f32) << node.name;
  }
  for (const std::string& backend : backend_names()) {
    ArenaRun run(graph, backend);
    run.set(draw_inputs(graph, 3));
    run.run();
    EXPECT_TRUE(std::isfinite(run.get(graph.find("loss"))[0])) << backend;
  }
}

// They are made anew from float weights, and layers read them beside narrow activations.
TEST(Bf16, LeavesWhatIsMadeOfWeightsAlone) {
  ModelOptions options;
  options.batch = 2;
  options.channels = 3;
  options.width = 0.35;
  options.height = options.width_px = 96;
  options.classes = 10;
  options.norm = "frozen";
  const Network backbone = network_of(build_model("mobilenet_v2", options), options);
  for (const char* side : {"rep-net", "tinytl"}) {
    const Graph forward = graph_of(with_side(backbone, side, {3, 96, 96}), options);
    const Graph narrow = use_bf16(with_trained(forward, "side,head"));
    int standardised = 0;
    for (const Node& node : narrow.nodes) {
      if (node.op != "standardize_weights") continue;
      EXPECT_EQ(narrow.tensor(node.outputs[0]).type, ElementType::f32) << node.name;
      ++standardised;
    }
    EXPECT_GT(standardised, 0);
    for (const std::string& backend : backend_names()) {
      const auto kernels = make_backend(backend);
      std::vector<NamedLayout> layouts;
      const Graph training = training_graph(use_masks(narrow));
      EXPECT_GT(make_schedule(training, *kernels, layouts).steps.size(), 0u) << side;
    }
  }
}

}  // namespace
}  // namespace thimble
