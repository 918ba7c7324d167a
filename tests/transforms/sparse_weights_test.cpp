#include "transforms/sparse_weights.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <utility>

#include "ops/core/sparse.h"
#include "support/expect_error.h"
#include "support/sparse_bytes.h"
#include "transforms/fixtures.h"
#include "transforms/microbatch.h"
#include "transforms/offload.h"

namespace thimble {
namespace {

using transforms_test::small_net;
using transforms_test::training_graph;

const OptimizerSpec kMomentum = {"sgd", {{"momentum", 0.9}}};

double sparsity_for(const std::string& format) {
  const auto groups = groups_of(format);
  return groups ? groups->sparsity() : 0.8;
}

Graph sparse_net(const SparseWeights& how, const std::string& model = "resnet18_cifar") {
  return with_sparse_weights(small_net(model, 4), how);
}

// Blocks of a pointwise convolution are computed directly, others are written out.
const std::vector<std::pair<std::string, std::string>> kKinds = {{"resnet18_cifar", "positions"},
                                                                 {"resnet18_cifar", "blocks"},
                                                                 {"resnet18_cifar", "2:8"},
                                                                 {"mobilenet_v1_patch", "blocks"}};

// Of convolutions behind the first and of linear layers: values in `graph` beside those in `dense`.
double density_of(const Graph& graph, const Graph& dense) {
  double active = 0, all = 0;
  bool first = true;
  for (const Node& node : dense.nodes) {
    if (node.op != "conv2d" && node.op != "linear") continue;
    if (std::exchange(first, false)) continue;
    const Tensor& weight = dense.tensor(node.inputs[1]);
    active += static_cast<double>(graph.tensor(graph.find(weight.name)).shape.elements());
    all += static_cast<double>(weight.shape.elements());
  }
  return active / all;
}

TEST(SparseWeights, HaveTheDensityThatWasAskedFor) {
  for (const std::string& distribution : sparse_distributions()) {
    for (const std::string& format : sparse_formats()) {
      for (const double sparsity : {0.5, 0.9}) {
        const Graph net =
            sparse_net({.sparsity = sparsity, .distribution = distribution, .format = format});
        EXPECT_NEAR(density_of(net, small_net("resnet18_cifar", 4)), 1 - sparsity, 0.01)
            << distribution << ' ' << format;
      }
    }
  }
}

// As in RigL: (sum of sizes) / (product of sizes), scaled; none above 1.
TEST(SparseWeights, ErkFollowsItsFormula) {
  const std::vector<Shape> layers = {{64, 64, 3, 3}, {128, 64, 1, 1}, {10, 16}};
  const std::vector<double> d = layer_densities(layers, 0.2, "erk");
  EXPECT_EQ(d[2], 1);
  EXPECT_NEAR(d[0] / d[1], (134.0 / 36864) / (194.0 / 8192), 1e-12);
  EXPECT_NEAR(d[0] * 36864 + d[1] * 8192 + 160, 0.2 * (36864 + 8192 + 160), 1e-6);
  EXPECT_EQ(layer_densities(layers, 0.2, "uniform"), (std::vector<double>{0.2, 0.2, 0.2}));
}

TEST(SparseWeights, LeaveOutTheFirstConvolutionAndDepthwiseOnes) {
  const Graph net = sparse_net({.sparsity = 0.9, .distribution = "uniform"}, "mobilenet_v2");
  int sparse = 0, convolutions = 0;
  for (const Node& node : net.nodes) {
    if (node.op != "conv2d" && node.op != "linear") continue;
    const bool dense = net.tensor(node.inputs[1]).role == Role::weight;
    sparse += !dense;
    const bool depthwise = node.op == "conv2d" && node.attributes.integer("groups") > 1;
    if (convolutions++ == 0 || depthwise) {
      EXPECT_TRUE(dense) << node.name;
    }
  }
  EXPECT_GT(sparse, 30);
}

// Without statistics that bring it back, what a layer makes would be as small as it has few
// weights.
TEST(SparseWeights, BeginLargerWhereNothingNormalises) {
  for (const char* norm : {"batch", "frozen", "group"}) {
    const Graph dense = small_net("mobilenet_v1_patch", 4, norm);
    const Graph sparse = with_sparse_weights(dense, {.sparsity = 0.75, .distribution = "uniform"});
    int larger = 0, same = 0;
    for (const Tensor& t : sparse.tensors) {
      if (t.dense.rank() == 0) continue;
      const double before = dense.tensor(dense.find(t.name)).init.value;
      same += t.init.value == before;
      larger += std::abs(t.init.value / before - 2) < 0.05;
    }
    const bool frozen = std::string(norm) == "frozen";
    EXPECT_EQ(frozen ? same : larger, frozen ? 0 : 1) << norm;  // the classifier has none
    EXPECT_GE(frozen ? larger : same, 8) << norm;
  }
}

TEST(SparseWeights, RefusesWhatMakesNoSense) {
  expect_user_error([] { sparse_net({.sparsity = 1}); },
                    "sparse.sparsity is 1, needed more than 0 and less than 1");
  expect_user_error([] { sparse_net({.sparsity = 0.9, .method = "rigel"}); }, "did you mean");
  expect_user_error([] { sparse_net({.sparsity = 0.9, .format = "block"}); }, "did you mean");
  for (const char* format : {"2:6", "4:4", "0:4", "2:64", "x:4", "2:4x", ":"}) {
    expect_user_error([&] { sparse_net({.sparsity = 0.5, .format = format}); },
                      "needs 0 < N < M, and an M that is a power of two up to 32");
  }
  expect_user_error([] { sparse_net({.sparsity = 0.9, .format = "2:4"}); },
                    "leaves 0.5 of the positions out, and sparse.sparsity is 0.9");
  expect_user_error([] { sparse_net({.sparsity = 0.5, .format = "8:16"}, "lenet"); },
                    "has no layer whose input channels come in 8:16");
}

// The same of each M channels, in all layers that have so many; the index takes log2 M bits each.
TEST(SparseWeights, OfNToMAreEquallyManyOfEachGroup) {
  const Graph dense = small_net("resnet18_cifar", 4);
  const Graph net = sparse_net({.sparsity = 0.75, .format = "2:8"});
  int sparse = 0;
  for (const Tensor& t : net.tensors) {
    if (t.dense.rank() == 0) continue;
    ++sparse;
    EXPECT_EQ(t.dense[1] % 8, 0) << t.name;
    EXPECT_EQ(t.shape.elements() * 4, t.dense.elements()) << t.name;
    const int64_t bytes = net.tensor(net.find(t.name + kActive)).shape.elements();
    EXPECT_LE(bytes, t.shape.elements() * 3 / 8 + 5) << t.name;
  }
  EXPECT_GE(sparse, 15);
}

std::vector<int64_t> active_units(ArenaRun& run, const Graph& graph, const Tensor& weight) {
  const SparseShape shape = sparse_shape(weight);
  const std::vector<double> bytes = run.get(graph.find(weight.name + kActive));
  const std::vector<uint8_t> raw(bytes.begin(), bytes.end());
  EXPECT_TRUE(SparseIndex(raw.data(), shape, weight.shape.elements() / weight.block).is_valid())
      << weight.name;
  return units_of(bytes, shape, weight.shape.elements() / weight.block);
}

// What a step of the sparse network does to its active values is what it does to the dense network
// that has zeros elsewhere.
TEST(SparseWeights, TrainAsTheDenseNetworkDoesAtTheirPositions) {
  for (const auto& [model, format] : kKinds) {
    const Graph sparse = training_graph(sparse_net(
        {.sparsity = sparsity_for(format), .method = "static", .format = format}, model));
    const Graph dense = training_graph(small_net(model, 4));
    const Values inputs = draw_inputs(sparse, 5);
    for (const std::string& backend : backend_names()) {
      ArenaRun a(sparse, backend), b(dense, backend);
      a.set(inputs);
      std::map<std::string, std::vector<int64_t>> positions;
      for (size_t t = 0; t < sparse.tensors.size(); ++t) {
        const Tensor& tensor = sparse.tensors[t];
        if (inputs[t].empty() || tensor.name.ends_with(kActive)) continue;
        std::vector<double> values = inputs[t];
        const std::string weight = tensor.name.substr(
            tensor.name.rfind("momentum.") + 1 > 0 ? tensor.name.rfind("momentum.") + 9 : 0);
        const TensorId of = sparse.find(weight);
        if (of != kNoTensor && sparse.tensor(of).dense.rank() > 0) {
          const Tensor& w = sparse.tensor(of);
          const SparseShape shape = sparse_shape(w);
          std::vector<int64_t>& at = positions[tensor.name];
          for (int64_t unit : active_units(a, sparse, w)) {
            for (int64_t k = 0; k < w.block; ++k) {
              at.push_back(shape.position(unit, k));
            }
          }
          values.assign(static_cast<size_t>(w.dense.elements()), 0.0);
          for (size_t i = 0; i < at.size(); ++i) values[static_cast<size_t>(at[i])] = inputs[t][i];
        }
        b.set(dense.find(tensor.name), values);
      }
      a.run();
      b.run();
      const double loss = b.get(dense.find("loss"))[0];
      EXPECT_NEAR(a.get(sparse.find("loss"))[0], loss, 1e-5 * loss) << model << ' ' << backend;
      int compared = 0;
      for (const auto& [name, at] : positions) {
        const std::vector<double> got = a.get(sparse.find(name));
        const std::vector<double> expected = b.get(dense.find(name));
        double largest = 0, difference = 0;
        for (size_t i = 0; i < at.size(); ++i) {
          const double value = expected[static_cast<size_t>(at[i])];
          largest = std::max(largest, std::abs(value));
          difference = std::max(difference, std::abs(value - got[i]));
        }
        EXPECT_LE(difference, 1e-4 * largest) << model << ' ' << name << " on " << backend;
        ++compared;
      }
      EXPECT_GE(compared, 8);
    }
  }
}

// One dense tensor of a layer at a time, and the same bits.
TEST(SparseWeights, HaveShortDenseMoments) {
  const Graph plain = training_graph(sparse_net({.sparsity = 0.8}), kMomentum);
  const Graph brief = with_short_dense_moments(plain);
  for (const std::string& backend : backend_names()) {
    EXPECT_TRUE(transforms_test::trained_state(brief, plain, backend) ==
                transforms_test::trained_state(plain, plain, backend))
        << backend;
    ArenaRun run(brief, backend);
    std::set<std::string> live;
    size_t most = 0;
    const Schedule& s = run.schedule();
    for (size_t i = 0; i < s.steps.size(); ++i) {
      const auto is_dense = [&](BufferId b) {
        return b != kNoBuffer && s.buffer(b).tensor != kNoTensor &&
               brief.tensor(s.buffer(b).tensor).role == Role::expanded;
      };
      for (BufferId b : s.steps[i].outputs) {
        if (is_dense(b)) live.insert(s.buffer(b).name);
      }
      most = std::max(most, live.size());
      for (BufferId b : s.steps[i].inputs) {
        if (is_dense(b)) live.erase(s.buffer(b).name);
      }
    }
    EXPECT_EQ(most, 1u) << backend;
  }
}

// Positions change in the steps in which they should, and nowhere else; their number stays.
TEST(SparseWeights, ChangeTheirPositions) {
  const auto check = [](const std::string& model, const std::string& format,
                        const std::string& method) {
    for (const int64_t microbatches : {1, 2}) {
      const SparseWeights how = {.sparsity = sparsity_for(format),
                                 .method = method,
                                 .format = format,
                                 .every = 2,
                                 .drop = 0.3};
      const Graph net = sparse_net(how, model);
      Graph graph = with_changing_positions(training_graph(net, kMomentum), how);
      if (microbatches > 1) graph = accumulate_gradients(graph, microbatches);
      ArenaRun run(graph, backend_names().front());
      run.set(draw_inputs(graph, 5));
      std::map<std::string, std::vector<int64_t>> before;
      for (const Tensor& t : graph.tensors) {
        if (t.dense.rank() > 0) before[t.name] = active_units(run, graph, t);
      }
      ASSERT_GE(before.size(), 6u);
      for (int step = 0; step < 5; ++step) {
        run.set(graph.find("counter"), {static_cast<double>(step), 1, 0, 0});
        run.set(graph.find("lr"), {0.001});
        run.run();
        for (auto& [name, units] : before) {
          const Tensor& t = graph.tensor(graph.find(name));
          const std::vector<int64_t> now = active_units(run, graph, t);
          const bool due = step > 0 && step % 2 == 0;
          const bool full = t.shape.elements() == t.dense.elements();
          const bool may_differ = due && now.size() > 3 && !full;
          EXPECT_EQ(now != units, may_differ)
              << model << ' ' << method << ' ' << name << " step " << step;
          units = now;
        }
      }
    }
  };
  for (const auto& [model, format] : kKinds) {
    for (const char* method : {"set", "rigl", "mest"}) check(model, format, method);
  }
}

// Of the second that the first has not.
int64_t differing_units(const Tensor& weight, const std::vector<std::byte>& a,
                        const std::vector<std::byte>& b) {
  const auto units = [&](const std::vector<std::byte>& bytes) {
    std::set<int64_t> all;
    const int64_t count = weight.shape.elements() / weight.block;
    const auto* raw = reinterpret_cast<const uint8_t*>(bytes.data());
    SparseIndex(raw, sparse_shape(weight), count).each([&](int64_t, int64_t u) { all.insert(u); });
    return all;
  };
  const std::set<int64_t> first = units(a), second = units(b);
  return std::count_if(second.begin(), second.end(), [&](int64_t u) { return !first.contains(u); });
}

// What is exact stays so while positions change; all backends find the same new positions, but that
// they round differently: the last of two nearly equal ones may be the other, in N:M with what
// stays in its group.
TEST(SparseWeights, ChangeTheSameWayBehindOtherTechniques) {
  for (const auto& [model, format] : kKinds) {
    for (const OptimizerSpec& optimizer : {kMomentum, OptimizerSpec{"adam", {}}}) {
      // MEST reads weights and gradients where the optimizer does.
      const SparseWeights how = {.sparsity = sparsity_for(format),
                                 .method = optimizer.op == "adam" ? "mest" : "rigl",
                                 .format = format,
                                 .every = 1,
                                 .explored = true};
      const Graph plain =
          with_changing_positions(training_graph(sparse_net(how, model), optimizer), how);
      const auto state = [&](const Graph& graph, const std::string& backend) {
        ArenaRun run(graph, backend);
        const Values inputs = draw_inputs(plain, 5);
        for (size_t t = 0; t < plain.tensors.size(); ++t) {
          if (!inputs[t].empty()) run.set(graph.find(plain.tensors[t].name), inputs[t]);
        }
        run.set(graph.find("counter"), {1, 1, 0, 0});
        run.run();
        std::map<std::string, std::vector<std::byte>> kept;
        for (const Tensor& t : plain.tensors) {
          const bool state_of_it = t.role == Role::weight || t.role == Role::optimizer;
          if (state_of_it || t.name.ends_with(kActive) || t.name.ends_with(kExplored))
            kept[t.name] = run.bytes(graph.find(t.name));
        }
        return kept;
      };
      std::map<std::string, std::vector<std::byte>> first;
      for (const std::string& backend : backend_names()) {
        const auto expected = state(plain, backend);
        for (const auto& [name, bytes] : expected) {
          // One that drops another draws all others anew.
          if (!name.ends_with(kActive) || how.method != "rigl") continue;
          const auto it = first.try_emplace(name, bytes).first;
          const Tensor& weight = plain.tensor(plain.find(name.substr(0, name.rfind(kActive))));
          EXPECT_LE(differing_units(weight, it->second, bytes), format == "2:8" ? 2 : 0)
              << model << ' ' << name << " on " << backend;
        }
        EXPECT_TRUE(state(with_short_dense_moments(plain), backend) == expected);
        EXPECT_TRUE(state(offload(plain, 100), backend) == expected);
        for (uint64_t seed = 0; seed < 2; ++seed) {
          const Graph again = recompute(plain, transforms_test::drawn_plan(plain, seed));
          EXPECT_TRUE(state(again, backend) == expected) << model << " recompute " << seed;
        }
      }
    }
  }
}

// The union of the positions before each step and behind the last.
TEST(SparseWeights, NoteWhatTheyExplored) {
  for (const char* method : {"set", "rigl", "mest"}) {
    const SparseWeights how = {
        .sparsity = 0.75, .method = method, .format = "2:8", .every = 2, .explored = true};
    const Graph graph =
        with_changing_positions(training_graph(sparse_net(how, "resnet18_cifar"), kMomentum), how);
    ArenaRun run(graph, backend_names().front());
    run.set(draw_inputs(graph, 5));
    for (const Tensor& t : graph.tensors) {
      if (!t.name.ends_with(kExplored)) continue;
      run.set(graph.find(t.name), std::vector<double>(static_cast<size_t>(t.shape.elements())));
    }
    std::map<std::string, std::set<int64_t>> were;
    const auto look = [&] {
      for (const Tensor& t : graph.tensors) {
        if (t.dense.rank() == 0) continue;
        for (int64_t unit : active_units(run, graph, t)) were[t.name].insert(unit);
      }
    };
    for (int step = 0; step < 7; ++step) {
      look();
      run.set(graph.find("counter"), {static_cast<double>(step), 1, 0, 0});
      run.set(graph.find("lr"), {0.001});
      run.run();
    }
    ASSERT_GE(were.size(), 10u);
    for (auto& [name, units] : were) {
      const Tensor& t = graph.tensor(graph.find(name));
      const auto before = units.size();
      const std::vector<double> bits = run.get(graph.find(name + kExplored));
      std::set<int64_t> noted;
      for (int64_t unit = 0; unit < sparse_shape(t).units(); ++unit) {
        if (static_cast<int>(bits[static_cast<size_t>(unit / 8)]) >> unit % 8 & 1)
          noted.insert(unit);
      }
      for (int64_t unit : active_units(run, graph, t)) noted.insert(unit);
      for (int64_t unit : active_units(run, graph, t)) units.insert(unit);
      EXPECT_EQ(noted, units) << method << ' ' << name;
      EXPECT_GT(before, static_cast<size_t>(t.shape.elements())) << name;
    }
  }
}

}  // namespace
}  // namespace thimble
