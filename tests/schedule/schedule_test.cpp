#include "schedule/schedule.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "autodiff/differentiate.h"
#include "models/model.h"
#include "ops/core/builder.h"
#include "support/expect_error.h"
#include "transforms/microbatch.h"

namespace thimble {
namespace {

Graph tiny_net() {
  GraphBuilder b("tiny");
  TensorId x = b.images({2, 1, 6, 6});
  x = b.layer("conv2d", "conv", {x}, {{"out_channels", int64_t{4}}, {"kernel", both(3)}});
  x = b.layer("batch_norm", "norm", {x}, {{"activation", std::string("relu")}});
  x = b.layer("max_pool", "pool", {x}, {{"kernel", both(2)}, {"stride", both(2)}});
  x = b.layer("linear", "fc", {b.layer("flatten", "flat", {x})}, {{"out_features", int64_t{3}}});
  b.classify(x);
  return b.graph();
}

Graph training_graph(const Graph& forward) {
  return add_optimizer(differentiate(forward, forward.find("loss")), {"sgd", {{"momentum", 0.9}}});
}

Schedule schedule_of(const Graph& graph, const std::string& backend) {
  std::vector<NamedLayout> layouts;
  return make_schedule(graph, *make_backend(backend), layouts);
}

std::string golden(const std::string& name) {
  std::ifstream in(std::string(THIMBLE_GOLDEN) + "/" + name);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

TEST(Schedule, PrintsTheTinyNet) {
  std::stringstream text;
  text << schedule_of(training_graph(tiny_net()), "portable");
  EXPECT_EQ(text.str(), golden("tiny_schedule.txt"));
}

TEST(Schedule, BuffersAreTheGraphsTensorsInTheirOrder) {
  const Graph graph = training_graph(tiny_net());
  const Schedule s = schedule_of(graph, "portable");
  ASSERT_EQ(s.buffers.size(), graph.tensors.size());
  for (size_t t = 0; t < graph.tensors.size(); ++t) {
    const Buffer& b = s.buffers[t];
    EXPECT_EQ(b.name, graph.tensors[t].name);
    EXPECT_EQ(b.tensor, static_cast<TensorId>(t));
    EXPECT_EQ(b.bytes, b.shape.elements() * element_bytes(b.type));
    EXPECT_EQ(b.persistent, is_persistent(graph.tensors[t].role));
  }
  EXPECT_EQ(s.find("conv.weight"), graph.find("conv.weight"));
  EXPECT_EQ(s.find("nobody"), kNoBuffer);
}

TEST(Schedule, CategoriesFollowFromRolesAndReaders) {
  const Schedule s = schedule_of(training_graph(tiny_net()), "portable");
  const auto category = [&](const char* name) {
    const BufferId b = s.find(name);
    EXPECT_NE(b, kNoBuffer) << name;
    return std::string(b == kNoBuffer ? "" : name_of(s.buffer(b).category));
  };
  EXPECT_EQ(category("conv.weight"), "weights");
  EXPECT_EQ(category("norm.running_var"), "weights");
  EXPECT_EQ(category("optimizer.momentum.conv.weight"), "optimizer");
  EXPECT_EQ(category("conv.diff_weights"), "gradients");
  EXPECT_EQ(category("conv"), "saved");        // the normalisation's backward reads it
  EXPECT_EQ(category("norm"), "temporaries");  // only forward reads it
  EXPECT_EQ(category("pool.indices"), "saved");
  EXPECT_EQ(category("norm.diff_src"), "temporaries");
  EXPECT_EQ(category("images"), "data");
  EXPECT_EQ(category("loss"), "data");
}

TEST(Schedule, ThePortableBackendNeverReorders) {
  for (const Model* model : models()) {
    ModelOptions o;
    o.batch = 2;
    const Schedule s = schedule_of(training_graph(build_model(model->name, o)), "portable");
    for (const Step& step : s.steps) EXPECT_NE(step.op, "reorder") << model->name;
    for (const Buffer& b : s.buffers) EXPECT_EQ(b.layout.tag, kPlain) << b.name;
    EXPECT_TRUE(s.transfers.empty());
  }
}

TEST(Schedule, EveryReorderChangesTheLayoutAndIsRead) {
  for (const std::string& backend : backend_names()) {
    for (const Model* model : models()) {
      ModelOptions o;
      o.batch = 2;
      o.width = 0.25;
      const Schedule s = schedule_of(training_graph(build_model(model->name, o)), backend);
      for (size_t i = 0; i < s.steps.size(); ++i) {
        if (s.steps[i].op != "reorder") continue;
        const BufferId from = s.steps[i].inputs[0], to = s.steps[i].outputs[0];
        EXPECT_NE(s.buffer(from).layout, s.buffer(to).layout) << s.buffer(to).name;
        EXPECT_EQ(s.buffer(from).shape, s.buffer(to).shape);
        const Step& next = s.steps[i + 1];
        const auto reads = [&](const Step& step) {
          return std::count(step.inputs.begin(), step.inputs.end(), to) > 0;
        };
        // Several reorders may precede one step.
        EXPECT_TRUE(reads(next) || next.op == "reorder") << s.buffer(to).name;
        EXPECT_TRUE(std::any_of(s.steps.begin(), s.steps.end(), reads)) << s.buffer(to).name;
      }
    }
  }
}

// A made-up backend with two layouts: convolutions want "odd", all else is plain.
class OddConvolutions : public Backend {
 public:
  std::string name() const override { return "odd"; }
  std::string identity() const override { return "odd"; }
  void begin(const Graph&) override {}
  KernelChoice choose(const Graph& graph, const Node& node, const std::vector<Layout>&) override {
    const auto layout = [&](TensorId t) {
      if (t == kNoTensor) return Layout{};
      const bool map = graph.tensor(t).shape.rank() == 4 && graph.tensor(t).role != Role::weight;
      const Layout plain = plain_layout(graph.tensor(t).shape);
      return node.op == "conv2d" && map ? Layout{"odd", plain.elements + 8} : plain;
    };
    KernelChoice choice;
    for (TensorId t : node.inputs) choice.inputs.push_back(layout(t));
    for (TensorId t : node.outputs) choice.outputs.push_back(layout(t));
    for (TensorId t : node.updates) choice.outputs.push_back(layout(t));
    choice.implementation = "test";
    return choice;
  }
  KernelChoice reorder(const Shape&, ElementType, const Layout& from, const Layout& to) override {
    KernelChoice choice{nullptr, {from}, {to}, 24, from.tag + "->" + to.tag};
    return choice;
  }
};

std::string steps_text(const Schedule& s) {
  std::string text;
  for (const Step& step : s.steps)
    text += step.op + ' ' + step.name + ' ' + step.implementation + '\n';
  return text;
}

TEST(Schedule, ReordersStandOnlyWhereLayoutsDiffer) {
  GraphBuilder b("net");
  const Attributes one = {{"out_channels", int64_t{1}}, {"kernel", both(1)}};
  TensorId x = b.images({1, 1, 4, 4});
  x = b.layer("conv2d", "c1", {x}, one);  // images are plain
  x = b.layer("conv2d", "c2", {x}, one);  // no reorder between the two
  const TensorId y = b.layer("relu", "r1", {x});
  const TensorId z = b.layer("gelu", "r2", {x});  // reads the copy that r1 reads
  b.layer("conv2d", "c3", {b.layer("add", "sum", {y, z})}, one);
  OddConvolutions backend;
  std::vector<NamedLayout> layouts;
  const Schedule s = make_schedule(b.graph(), backend, layouts);
  EXPECT_EQ(steps_text(s),
            "reorder images plain->odd\n"
            "conv2d c1 test\n"
            "conv2d c2 test\n"
            "reorder c2 odd->plain\n"
            "relu r1 test\n"
            "gelu r2 test\n"
            "add sum test\n"
            "reorder sum plain->odd\n"
            "conv2d c3 test\n");
  EXPECT_EQ(s.steps[0].scratch_bytes, 24);
  EXPECT_EQ(s.buffer(s.find("c1")).bytes, (16 + 8) * 4);
  EXPECT_EQ(s.buffer(s.find("r1")).bytes, 16 * 4);
}

TEST(Schedule, LayoutsThatAnotherScheduleFixedAreKept) {
  const Graph forward = tiny_net();
  for (const std::string& name : backend_names()) {
    const auto backend = make_backend(name);
    std::vector<NamedLayout> layouts;
    const Schedule train = make_schedule(training_graph(forward), *backend, layouts);
    const size_t fixed = layouts.size();
    const Schedule evaluate = make_schedule(inference_graph(forward), *backend, layouts);
    EXPECT_EQ(layouts.size(), fixed);  // evaluation has no tensor of its own
    for (const Buffer& b : evaluate.buffers) {
      if (!b.persistent) continue;
      EXPECT_EQ(b.layout, train.buffer(train.find(b.name)).layout) << b.name;
    }
  }
}

// On a map of 2x2 the gradient of a depthwise weight comes in another layout than the weight.
TEST(Schedule, SumsOfGradientsLieAsTheirWeights) {
  ModelOptions o;
  o.batch = 1;
  o.width = 0.25;
  o.height = 64;
  o.norm = "group";
  const Graph graph = accumulate_gradients(training_graph(build_model("mobilenet_v1", o)), 4);
  for (const std::string& backend : backend_names()) {
    const Schedule schedule = schedule_of(graph, backend);
    for (const Buffer& b : schedule.buffers) {
      const std::string prefix = "optimizer.momentum.";
      if (!b.name.starts_with(prefix)) continue;
      const BufferId weight = schedule.find(b.name.substr(prefix.size()));
      ASSERT_NE(weight, kNoBuffer);
      EXPECT_EQ(b.layout.tag, schedule.buffer(weight).layout.tag) << b.name << ' ' << backend;
    }
  }
}

TEST(MakeBackend, RefusesWhatIsNotBuiltIn) {
  expect_user_error([] { make_backend("cuda"); }, "there is no backend called 'cuda'");
  EXPECT_EQ(make_backend("portable")->name(), "portable");
  EXPECT_EQ(make_backend("auto")->name(), backend_names().front());
}

}  // namespace
}  // namespace thimble
