#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <set>

#include "models/trained.h"
#include "planner/build.h"
#include "support/sanitizers.h"
#include "transforms/fixtures.h"

namespace thimble {
namespace {

using transforms_test::largest_difference;
using transforms_test::small_net;

// Of float32, sums in another order, through a whole network.
constexpr double kSameMath = 2e-3;
// Of reversible networks: what a block read is had again from a sum, and a ReLU of it that rounds
// across zero moves the gradients of such small nets. In double they are the same to 1e-10
// (invert_test.cpp).
constexpr double kSameMathOfSums = 2e-2;
// What rounding may do to the loss of one step, relative: batch norm on maps of one pixel and few
// examples makes much of it.
constexpr double kApproximateLoss = 0.5;

// Every technique of the table by itself, with all that is free, on every model of the zoo and
// every norm.
class EveryTechnique : public testing::TestWithParam<const Technique*> {};

void expect_as_promised(ArenaRun& plain, ArenaRun& run, const Graph& from, const Graph& to,
                        Promise promise, double tolerance) {
  for (size_t t = 0; t < from.tensors.size(); ++t) {
    const Tensor& tensor = from.tensors[t];
    if (!is_persistent(tensor.role) || tensor.role == Role::data) continue;
    const auto id = static_cast<TensorId>(t);
    const TensorId other = to.find(tensor.name);
    ASSERT_NE(other, kNoTensor) << tensor.name;
    if (promise == Promise::bit_exact) {
      EXPECT_TRUE(plain.bytes(id) == run.bytes(other)) << tensor.name;
    } else if (promise == Promise::same_math) {
      EXPECT_LE(largest_difference(from, plain.get(id), run.get(other), id), tolerance)
          << tensor.name;
    } else if (tensor.name == "loss") {
      const double loss = plain.get(id)[0];
      EXPECT_NEAR(run.get(other)[0], loss, kApproximateLoss * std::abs(loss));
    } else {
      for (double x : run.get(other)) ASSERT_TRUE(std::isfinite(x)) << tensor.name;
    }
  }
}

// One step of a graph that keeps everything, on each backend: every option is held against it.
using PlainSteps = std::map<std::string, std::unique_ptr<ArenaRun>>;

ArenaRun& plain_step(PlainSteps& steps, const Graph& graph, const Values& inputs,
                     const std::string& backend) {
  std::unique_ptr<ArenaRun>& run = steps[backend];
  if (run == nullptr) {
    run = std::make_unique<ArenaRun>(graph, backend);
    run->set(inputs);
    run->run();
  }
  return *run;
}

// A technique on a model: the graph is sound, its plan is what it touches, and a step does what was
// promised. Says why, where it cannot be used.
std::string check_transform(const Setting& setting, const Graph& forward, PlainSteps& steps) {
  PlanRequest request;
  request.forward = forward;
  request.optimizer = {"sgd", {{"momentum", 0.9}}};
  PlanRequest without = request;
  if (setting.technique->free) without.without = {setting.technique->name};
  const Graph from = *keeping_graph(without, {}).graph;
  const Rewrite rewritten = training_graph(request, {1, {setting}});
  if (!rewritten.graph) return rewritten.refusal;
  const Graph& to = *rewritten.graph;
  verify(to);
  if (to == from) return "";  // there was nothing to do
  const Promise promise = setting.technique->promise(forward);
  const bool sums = setting.technique->name == "invert" &&
                    std::any_of(forward.nodes.begin(), forward.nodes.end(),
                                [](const Node& n) { return n.op == "add"; });
  const double tolerance = sums ? kSameMathOfSums : kSameMath;
  const Values inputs = draw_inputs(from, 5);
  for (const std::string& backend : backend_names()) {
    SCOPED_TRACE(backend);
    ArenaRun& plain = plain_step(steps, from, inputs, backend);
    ArenaRun run(to, backend);  // both hold their plans against the checker
    for (size_t t = 0; t < from.tensors.size(); ++t) {
      if (!inputs[t].empty()) run.set(to.find(from.tensors[t].name), inputs[t]);
    }
    run.run();
    expect_as_promised(plain, run, from, to, promise, tolerance);
    EXPECT_TRUE(run.arena().guards_intact());
    if (backend != "portable") continue;  // oneDNN books more scratch than it touches
    EXPECT_GT(run.arena().touched_bytes(), run.plan().arena_bytes - kAlignment);
  }
  return "";
}

TEST_P(EveryTechnique, KeepsItsPromiseOnEveryModelOrSaysWhyNot) {
  int used = 0;
  const std::set<int64_t> options = {GetParam()->options.front(), GetParam()->options.back()};
  const auto check = [&](const std::string& model, const std::string& norm,
                         const std::map<std::string, std::string>& variants,
                         const std::string& sparse = "", const std::string& train = "all") {
    if (kSanitized && (used > 0 || model == "resnet50")) return;  // there is no time for more
    Graph forward = small_net(model, 4, norm, variants);
    if (!sparse.empty()) {
      forward = with_sparse_weights(forward, {.sparsity = 0.8, .format = sparse});
    }
    forward = with_trained(std::move(forward), train);
    PlainSteps steps;
    for (int64_t option : options) {
      SCOPED_TRACE(str_cat(model, ", ", norm, " norm, sparse: ", sparse, ", option ", option));
      const std::string refusal = check_transform({GetParam(), option}, forward, steps);
      used += refusal.empty();
      EXPECT_EQ(refusal.find('\n'), refusal.npos) << "one line for people";
    }
  };
  for (const Model* model : models()) {
    for (const char* norm : {"batch", "frozen", "group"}) check(model->name, norm, {});
  }
  check("resnet18_cifar", "batch", {{"activation", "leaky_relu"}});
  for (const char* model : {"resnet18_cifar", "mobilenet_v2"}) {
    for (const char* norm : {"batch", "frozen"}) {
      for (const char* format : {"positions", "blocks"}) check(model, norm, {}, format);
    }
  }
  for (const char* norm : {"batch", "frozen"}) check("mobilenet_v2", norm, {}, "", "all[2/5]");
  EXPECT_GT(used, 0);
}

std::vector<const Technique*> applied() {
  std::vector<const Technique*> all = techniques();
  std::erase_if(all, [](const Technique* t) { return t->stage == Technique::Stage::searched; });
  return all;
}

INSTANTIATE_TEST_SUITE_P(CheckTransform, EveryTechnique, testing::ValuesIn(applied()),
                         [](const auto& technique) { return technique.param->name; });

}  // namespace
}  // namespace thimble
