#include "schedule/order.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "autodiff/differentiate.h"
#include "models/model.h"
#include "ops/core/builder.h"

namespace thimble {
namespace {

// images -> conv -> conv -> linear -> loss, with sgd.
Graph training_graph() {
  GraphBuilder b("net");
  TensorId x = b.images({2, 1, 3, 3});
  x = b.layer("conv2d", "c1", {x}, {{"out_channels", int64_t{2}}, {"kernel", both(3)}});
  x = b.layer("conv2d", "c2", {x}, {{"out_channels", int64_t{2}}, {"kernel", both(1)}});
  x = b.layer("linear", "fc", {b.layer("flatten", "flat", {x})}, {{"out_features", int64_t{3}}});
  b.classify(x);
  return add_optimizer(differentiate(b.graph(), b.graph().find("loss")), {"sgd", {}});
}

Schedule schedule_of(const Graph& graph, const std::string& backend = "portable") {
  std::vector<NamedLayout> layouts;
  return make_schedule(graph, *make_backend(backend), layouts);
}

std::string backward_ops(const Schedule& schedule) {
  std::string text;
  for (const Step& s : schedule.steps) {
    if (s.phase == Phase::forward) continue;
    text += (s.phase == Phase::update ? "update " : s.op + ' ') + s.name + '\n';
  }
  return text;
}

TEST(Order, AsWrittenChangesNothing) {
  const Schedule schedule = schedule_of(training_graph());
  EXPECT_EQ(backward_ops(reordered(schedule, Order::as_written)), backward_ops(schedule));
  EXPECT_EQ(backward_ops(schedule),
            "softmax_cross_entropy_backward criterion\n"
            "linear_backward_weights fc\n"
            "linear_backward_data fc\n"
            "reshape flat\n"
            "conv2d_backward_weights c2\n"
            "conv2d_backward_data c2\n"
            "conv2d_backward_weights c1\n"
            "update c1.weight\n"
            "update c2.weight\n"
            "update fc.weight\n"
            "update fc.bias\n");
}

// A weight moves once its input gradient has been formed, not before.
TEST(Order, EarlyUpdateStandsBehindTheLastReaderOfItsWeight) {
  EXPECT_EQ(backward_ops(reordered(schedule_of(training_graph()), Order::early_update)),
            "softmax_cross_entropy_backward criterion\n"
            "linear_backward_weights fc\n"
            "update fc.bias\n"
            "linear_backward_data fc\n"
            "update fc.weight\n"
            "reshape flat\n"
            "conv2d_backward_weights c2\n"
            "conv2d_backward_data c2\n"
            "update c2.weight\n"
            "conv2d_backward_weights c1\n"
            "update c1.weight\n");
}

// c2 reads an input of 72 bytes for the last time and makes a gradient of 16; fc the other way
// round.
TEST(Order, SmallerFirstWeighsTheTwoGradientsOfALayer) {
  EXPECT_EQ(backward_ops(reordered(schedule_of(training_graph()), Order::smaller_first)),
            "softmax_cross_entropy_backward criterion\n"
            "linear_backward_data fc\n"
            "linear_backward_weights fc\n"
            "update fc.weight\n"
            "update fc.bias\n"
            "reshape flat\n"
            "conv2d_backward_weights c2\n"
            "conv2d_backward_data c2\n"
            "update c2.weight\n"
            "conv2d_backward_weights c1\n"
            "update c1.weight\n");
}

TEST(Order, ForwardIsNeverMoved) {
  const Schedule schedule = schedule_of(training_graph());
  for (Order order : all_orders()) {
    const Schedule other = reordered(schedule, order);
    for (size_t s = 0; s < schedule.steps.size(); ++s) {
      if (schedule.steps[s].phase != Phase::forward) break;
      EXPECT_EQ(other.steps[s].kernel, schedule.steps[s].kernel);
    }
  }
}

bool touches(const std::vector<BufferId>& list, BufferId b) {
  return b != kNoBuffer && std::count(list.begin(), list.end(), b) > 0;
}

// What a step reads must be the same write as before: reads and writes of each buffer keep their
// order.
void expect_same_meaning(const Schedule& before, const Schedule& after) {
  ASSERT_EQ(before.steps.size(), after.steps.size());
  std::map<const Kernel*, size_t> place;
  for (size_t s = 0; s < after.steps.size(); ++s) place[after.steps[s].kernel.get()] = s;
  ASSERT_EQ(place.size(), before.steps.size()) << "a step is missing or stands twice";
  for (size_t i = 0; i < before.steps.size(); ++i) {
    const Step& first = before.steps[i];
    ASSERT_TRUE(place.contains(first.kernel.get())) << first.op << ' ' << first.name;
    for (size_t j = i + 1; j < before.steps.size(); ++j) {
      const Step& second = before.steps[j];
      const bool depends =
          std::any_of(first.outputs.begin(), first.outputs.end(),
                      [&](BufferId b) {
                        return touches(second.inputs, b) || touches(second.outputs, b);
                      }) ||
          std::any_of(first.inputs.begin(), first.inputs.end(),
                      [&](BufferId b) { return touches(second.outputs, b); });
      if (!depends) continue;
      EXPECT_LT(place.at(first.kernel.get()), place.at(second.kernel.get()))
          << second.op << ' ' << second.name << " must follow " << first.op << ' ' << first.name;
    }
  }
}

TEST(Order, EveryOrderMeansTheSameForEveryModel) {
  for (const Model* model : models()) {
    for (int64_t side : {32, 64}) {  // small maps: some kernels fall back, and layouts differ
      ModelOptions o;
      o.batch = 8;
      o.width = 0.5;
      o.height = side;
      const Graph forward = build_model(model->name, o);
      const Graph training =
          add_optimizer(differentiate(forward, forward.find("loss")), {"sgd", {{"momentum", 0.9}}});
      for (const std::string& backend : backend_names()) {
        const Schedule schedule = schedule_of(training, backend);
        for (Order order : all_orders()) {
          SCOPED_TRACE(str_cat(model->name, ' ', side, ' ', backend, ' ', name_of(order)));
          expect_same_meaning(schedule, reordered(schedule, order));
        }
      }
    }
  }
}

// A gradient that the update reads in another layout: the copy is made first.
TEST(Order, AReorderBeforeAnUpdateStaysBeforeIt) {
  Schedule s;
  s.buffers.resize(5);
  constexpr BufferId kWeights = 0, kDiffDst = 1, kDiffSrc = 2, kGradient = 3, kCopy = 4;
  const auto step = [&](const char* op, Phase phase, std::vector<BufferId> in,
                        std::vector<BufferId> out) {
    Step next;
    next.op = op;
    next.phase = phase;
    next.inputs = std::move(in);
    next.outputs = std::move(out);
    s.steps.push_back(std::move(next));
  };
  step("loss", Phase::backward, {}, {kDiffDst});
  step("backward_data", Phase::backward, {kWeights, kDiffDst}, {kDiffSrc});
  step("backward_weights", Phase::backward, {kDiffDst}, {kGradient});
  step("end", Phase::backward, {kDiffSrc}, {});
  step("reorder", Phase::update, {kGradient}, {kCopy});
  step("sgd", Phase::update, {kWeights, kCopy}, {kWeights});
  std::string ops;
  for (const Step& moved : reordered(s, Order::early_update).steps) ops += moved.op + ' ';
  EXPECT_EQ(ops, "loss backward_data backward_weights reorder sgd end ");
}

// Of a map that a convolution and an activation read: its weight gradient waits for nothing but
// what it reads, and the activation's gradient may then take the map's place. So with sums of
// gradients.
TEST(Order, EarlyGradientStandsBehindWhatItReads) {
  GraphBuilder b("net");
  const auto conv = [&](const char* name, TensorId src) {
    return b.layer("conv2d", name, {src}, {{"out_channels", int64_t{2}}, {"kernel", both(1)}});
  };
  const TensorId map = conv("map", b.images({2, 1, 3, 3}));
  const TensorId branch = conv("branch", map);
  const TensorId act = b.layer("elu", "act", {map});
  TensorId x = b.layer("elu", "end", {b.layer("add", "sum", {branch, act})});
  x = b.layer("linear", "fc", {b.layer("flatten", "flat", {x})}, {{"out_features", int64_t{3}}});
  b.classify(x);
  const Schedule plain =
      schedule_of(add_optimizer(differentiate(b.graph(), b.graph().find("loss")), {"sgd", {}}));
  const auto place = [](const Schedule& s, const std::string& op, const std::string& name) {
    const auto step = std::find_if(s.steps.begin(), s.steps.end(), [&](const Step& other) {
      return other.op == op && other.name == name && other.phase != Phase::forward;
    });
    EXPECT_NE(step, s.steps.end()) << op << ' ' << name;
    return step - s.steps.begin();
  };
  const Schedule early = reordered(plain, Order::early_gradient);
  EXPECT_GT(place(plain, "conv2d_backward_weights", "branch"), place(plain, "elu_backward", "act"));
  EXPECT_LT(place(early, "conv2d_backward_weights", "branch"), place(early, "elu_backward", "act"));
  EXPECT_EQ(place(early, "conv2d_backward_weights", "branch"),
            place(early, "elu_backward", "end") + 1);
  EXPECT_LT(place(early, "add", "map"), place(early, "conv2d_backward_weights", "map"));
  EXPECT_EQ(early.steps.size(), plain.steps.size());
}

}  // namespace
}  // namespace thimble
