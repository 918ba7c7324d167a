#include <gtest/gtest.h>

#include <sstream>

#include "autodiff/differentiate.h"
#include "memory/check.h"
#include "memory/plan.h"
#include "models/trained.h"
#include "ops/core/builder.h"
#include "schedule/order.h"
#include "support/arena_run.h"
#include "support/check_backends.h"
#include "support/check_net.h"
#include "transforms/fixtures.h"
#include "transforms/masks.h"
#include "transforms/row_bands.h"

namespace thimble {
namespace {

using transforms_test::training_graph;

// A dense convolution, a norm, a depthwise convolution, a pointwise one and a linear layer, with
// biases; channels are no multiple of a block.
Graph net(int64_t channels) {
  GraphBuilder b("net");
  TensorId x = b.images({3, 5, 6, 7});
  const auto conv = [&](const char* name, int64_t out, int64_t kernel, int64_t groups) {
    const int64_t pad = kernel / 2;
    x = b.layer("conv2d", name, {x},
                {{"out_channels", out},
                 {"kernel", both(kernel)},
                 {"padding", ints({pad, pad, pad, pad})},
                 {"groups", groups},
                 {"bias", int64_t{1}}});
  };
  conv("dense", channels, 3, 1);
  x = b.layer("batch_norm", "norm", {x});
  x = b.layer("relu6", "act", {x});
  conv("deep", channels, 3, channels);
  x = b.layer("relu", "act2", {x});
  conv("point", 32, 1, 1);
  x = b.layer("global_average_pool", "pool", {x});
  x = b.layer("flatten", "flat", {x});
  b.classify(b.layer("linear", "fc", {x}, {{"out_features", int64_t{6}}}));
  return b.graph();
}

// Blocks of 16 and of 8 are cut, met and left alone.
const char* const kRules[] = {
    "dense.weight[1:4],norm.weight[3:11],norm.bias[0:5],deep.weight[7:19],deep.bias[2:3],"
    "point.weight[5:18],point.bias,fc.weight[30:32],fc.bias[0:2]",
    "dense.bias[16:20],deep.weight[16:32],point.weight[16:32],fc.weight[1/2]",
    "dense.weight[0:1],deep.weight[0:1],deep.bias,point.weight[39:40],point.bias[1/3]",
};

// The values of `range` in a tensor of `shape`, in order.
std::vector<double> cut(const std::vector<double>& values, const Shape& shape,
                        const ChannelRange& range) {
  if (range.is_whole()) return values;
  int64_t inner = 1;
  for (int d = range.axis + 1; d < shape.rank(); ++d) inner *= shape[d];
  std::vector<double> part;
  for (size_t i = 0; i < values.size(); ++i) {
    const int64_t channel = static_cast<int64_t>(i) / inner % shape[range.axis];
    if (channel >= range.first && channel < range.first + range.count) part.push_back(values[i]);
  }
  return part;
}

// Channels outside of `range`; of a frozen tensor, all.
std::vector<double> outside(std::vector<double> values, const Tensor& t) {
  if (!t.trainable) return values;
  if (t.trained_part.is_whole()) return {};
  const ChannelRange& range = t.trained_part;
  std::vector<double> rest = cut(values, t.shape, {range.axis, 0, range.first});
  if (range.first == 0) rest.clear();
  const int64_t end = range.first + range.count, all = t.shape[range.axis];
  if (end == all) return rest;
  const auto behind = cut(values, t.shape, {range.axis, end, all - end});
  rest.insert(rest.end(), behind.begin(), behind.end());
  return rest;
}

// The rules without their channels.
std::string of_whole(const std::string& rules) {
  std::string whole;
  bool inside = false;
  for (char c : rules) {
    inside = inside || c == '[';
    if (!inside) whole += c;
    inside = inside && c != ']';
  }
  return whole;
}

TEST(TrainedPart, ItsGradientIsThatPartOfTheWholeGradient) {
  const Values inputs = draw_inputs(net(40), 4, 6);
  for (const char* rules : kRules) {
    const Graph all = with_trained(net(40), of_whole(rules));
    const Graph some = with_trained(net(40), rules);
    const Differentiated whole = differentiate(all, all.find("loss"));
    const Differentiated part = differentiate(some, some.find("loss"));
    Interpreter<double> expected(whole.graph), got(part.graph);
    expected.set(inputs);
    got.set(inputs);
    expected.run();
    got.run();
    for (size_t t = 0; t < some.tensors.size(); ++t) {
      const Tensor& tensor = some.tensors[t];
      ASSERT_EQ(part.diffs[t] != kNoTensor, tensor.trainable) << tensor.name;
      if (!tensor.trainable) continue;
      EXPECT_EQ(part.graph.tensor(part.diffs[t]).role, Role::gradient) << tensor.name;
      EXPECT_EQ(part.graph.tensor(part.diffs[t]).shape, trained_shape(tensor)) << tensor.name;
      expect_near(got.get(part.diffs[t]),
                  cut(expected.get(whole.diffs[t]), tensor.shape, tensor.trained_part), 1e-12,
                  str_cat(rules, ": ", tensor.name));
    }
  }
}

TEST(TrainedPart, KeepsTheChosenChannelsOfWhatGoesIn) {
  const Graph some = with_trained(net(40), "point.weight[5:18],deep.weight[0:4]");
  const Graph graph = differentiate(some, some.find("loss")).graph;
  std::vector<std::string> read;  // by gradients of weights
  for (const Node& node : graph.nodes) {
    if (node.op != "conv2d_backward_weights") continue;
    const Tensor& src = graph.tensor(node.inputs[0]);
    read.push_back(str_cat(src.name, ' ', src.shape));
  }
  EXPECT_EQ(read, (std::vector<std::string>{"act2.kept (3, 13, 6, 7)", "act.kept (3, 4, 6, 7)"}));
}

TEST(TrainedPart, IsPrintedWithItsTensor) {
  std::ostringstream out;
  out << with_trained(net(40), "point.weight[5:18]");
  EXPECT_NE(out.str().find("weight point.weight f32 (32, 40, 1, 1) trained 5:18 of axis 1\n"),
            std::string::npos);
}

const OptimizerSpec kOptimizers[] = {
    {"sgd", {{"momentum", 0.0}, {"weight_decay", 0.1}}},
    {"sgd", {{"momentum", 0.9}, {"weight_decay", 0.1}}},
    {"sgd", {{"momentum", 0.9}, {"nesterov", int64_t{1}}}},
    {"adam", {{"weight_decay", 0.1}}},
    {"adamw", {{"weight_decay", 0.1}}},
};

TEST(TrainedPart, MovesAndNothingElseDoes) {
  for (int64_t channels : {40, 48}) {
    for (const char* rules : kRules) {
      const Graph some = with_trained(net(channels), rules);
      for (const OptimizerSpec& optimizer : kOptimizers) {
        if (channels == 48 && &optimizer != &kOptimizers[1]) continue;  // another layout
        SCOPED_TRACE(str_cat(channels, ' ', rules, ' ', optimizer.op));
        const Graph graph = training_graph(some, optimizer);
        const Values inputs = draw_inputs(graph, 4, 6);
        check_backends(graph, inputs, 1e-4);
        for (const std::string& backend : backend_names()) {
          SCOPED_TRACE(backend);
          ArenaRun run(graph, backend);
          run.set(inputs);
          Values before(some.tensors.size());
          for (size_t t = 0; t < some.tensors.size(); ++t) {
            if (some.tensors[t].role == Role::weight) before[t] = run.get(static_cast<TensorId>(t));
          }
          for (int step = 0; step < 3; ++step) run.run();
          for (size_t t = 0; t < some.tensors.size(); ++t) {
            const Tensor& tensor = some.tensors[t];
            if (tensor.role != Role::weight) continue;
            const auto after = run.get(static_cast<TensorId>(t));
            EXPECT_EQ(outside(after, tensor), outside(before[t], tensor)) << tensor.name;
            EXPECT_EQ(after != before[t], tensor.trainable) << tensor.name;
          }
        }
      }
    }
  }
}

// Weight decay and moments too.
TEST(TrainedPart, IsUpdatedAsThatPartOfTheWhole) {
  for (const OptimizerSpec& optimizer : kOptimizers) {
    SCOPED_TRACE(optimizer.op);
    const Graph all = training_graph(with_trained(net(40), of_whole(kRules[0])), optimizer);
    const Graph some = training_graph(with_trained(net(40), kRules[0]), optimizer);
    const Values inputs = draw_inputs(all, 4, 6);
    Interpreter<double> expected(all), got(some);
    expected.set(inputs);
    expected.run();
    for (size_t t = 0; t < all.tensors.size(); ++t) {
      if (inputs[t].empty()) continue;
      const Tensor& tensor = all.tensors[t];
      const size_t dot = tensor.name.find('.', sizeof("optimizer"));
      const bool state = tensor.role == Role::optimizer;
      const TensorId of = some.find(state ? tensor.name.substr(dot + 1) : tensor.name);
      const ChannelRange range = state ? some.tensor(of).trained_part : ChannelRange{};
      got.set(some.find(tensor.name), cut(inputs[t], tensor.shape, range));
    }
    got.run();
    for (size_t t = 0; t < some.tensors.size(); ++t) {
      const Tensor& tensor = some.tensors[t];
      if (!tensor.trainable) continue;
      const auto id = static_cast<TensorId>(t);
      expect_near(cut(got.get(id), tensor.shape, tensor.trained_part),
                  cut(expected.get(all.find(tensor.name)), tensor.shape, tensor.trained_part),
                  1e-12, tensor.name);
    }
  }
}

TEST(TrainedPart, ItsStateHasItsSize) {
  const Graph some = with_trained(net(40), "point.weight[5:18],deep.weight[0:4]");
  const Graph graph = training_graph(some, {"adam", {}});
  int states = 0;
  for (const Tensor& t : graph.tensors) {
    if (t.role != Role::optimizer) continue;
    ++states;
    EXPECT_EQ(t.shape,
              t.name.ends_with("point.weight") ? Shape({32, 13, 1, 1}) : Shape({4, 1, 3, 3}))
        << t.name;
  }
  EXPECT_EQ(states, 4);
}

TEST(TrainedPart, IsTheSameWhenRecomputed) {
  const OptimizerSpec momentum = {"sgd", {{"momentum", 0.9}}};
  const Graph forward =
      with_trained(transforms_test::small_net("mobilenet_v2", 2, "frozen"), "all[2/5]");
  const Graph plain = training_graph(forward, momentum);
  const Graph again = recompute(plain, transforms_test::drawn_plan(plain, 1));
  EXPECT_GT(again.nodes.size(), plain.nodes.size());
  for (const std::string& backend : backend_names()) {
    EXPECT_EQ(transforms_test::trained_state(again, plain, backend),
              transforms_test::trained_state(plain, plain, backend))
        << backend;
  }
  const auto regions = find_row_bands(forward, 8);
  ASSERT_FALSE(regions.empty());
  const Graph banded = training_graph(use_masks(use_row_bands(forward, regions)), momentum);
  transforms_test::expect_same_step(recompute(banded, transforms_test::drawn_plan(banded, 1)),
                                    plain, 1e-5);
}

// In every order the copy is made, updated and written back.
TEST(TrainedPart, IsUpdatedInAnyOrder) {
  const Graph graph =
      training_graph(with_trained(net(40), kRules[0]), {"sgd", {{"momentum", 0.9}}});
  for (const std::string& name : backend_names()) {
    const auto backend = make_backend(name);
    std::vector<NamedLayout> layouts;
    const Schedule schedule = make_schedule(graph, *backend, layouts);
    for (Order order : all_orders()) {
      const Schedule other = reordered(schedule, order);
      EXPECT_EQ(other.steps.size(), schedule.steps.size());
      for (const Tensor& t : graph.tensors) {
        if (t.trained_part.is_whole()) continue;
        std::vector<std::string> ops;
        for (const Step& s : other.steps) {
          if (s.phase == Phase::update && s.name == t.name && s.op != "reorder") {
            ops.push_back(s.op);
          }
        }
        EXPECT_EQ(ops, (std::vector<std::string>{"read_channels", "sgd", "write_channels"}))
            << t.name << ' ' << name_of(order);
      }
      check_plan(other, plan_memory(other, place_persistent({&other}, {})));
    }
  }
}

}  // namespace
}  // namespace thimble
