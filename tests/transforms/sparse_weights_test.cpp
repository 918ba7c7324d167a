#include "transforms/sparse_weights.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "ops/core/sparse.h"
#include "runtime/fixtures.h"
#include "runtime/safetensors.h"
#include "support/expect_error.h"
#include "support/sanitizers.h"
#include "support/sparse_bytes.h"
#include "transforms/fixtures.h"
#include "transforms/microbatch.h"
#include "transforms/offload.h"

namespace thimble {
namespace {

using cli_test::Finished;
using data_test::read_file;
using nlohmann::json;
using runtime_test::TempDir;
using transforms_test::small_net;
using transforms_test::training_graph;

const OptimizerSpec kMomentum = {"sgd", {{"momentum", 0.9}}};

Graph sparse_net(const SparseWeights& how, const std::string& model = "resnet18_cifar") {
  return with_sparse_weights(small_net(model, 4), how);
}

// Blocks of a pointwise convolution are computed directly, others are written out.
const std::vector<std::pair<std::string, std::string>> kKinds = {{"resnet18_cifar", "positions"},
                                                                 {"resnet18_cifar", "blocks"},
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
}

std::vector<int64_t> active_units(ArenaRun& run, const Graph& graph, const Tensor& weight) {
  const SparseShape shape(weight.dense, weight.block);
  const std::vector<double> bytes = run.get(graph.find(weight.name + kActive));
  const std::vector<uint8_t> raw(bytes.begin(), bytes.end());
  EXPECT_TRUE(SparseIndex(raw.data(), shape.units(), weight.shape.elements() / weight.block)
                  .is_valid(shape.units()))
      << weight.name;
  return units_of(bytes, shape.units(), weight.shape.elements() / weight.block);
}

// What a step of the sparse network does to its active values is what it does to the dense network
// that has zeros elsewhere.
TEST(SparseWeights, TrainAsTheDenseNetworkDoesAtTheirPositions) {
  for (const auto& [model, format] : kKinds) {
    const Graph sparse =
        training_graph(sparse_net({.sparsity = 0.8, .method = "static", .format = format}, model));
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
          const SparseShape shape(w.dense, w.block);
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
      const SparseWeights how = {
          .sparsity = 0.8, .method = method, .format = format, .every = 2, .drop = 0.3};
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
    for (const char* method : {"set", "rigl"}) check(model, format, method);
  }
}

// What is exact stays so while positions change; all backends find the same new positions.
TEST(SparseWeights, ChangeTheSameWayBehindOtherTechniques) {
  for (const auto& [model, format] : kKinds) {
    for (const OptimizerSpec& optimizer : {kMomentum, OptimizerSpec{"adam", {}}}) {
      const SparseWeights how = {.sparsity = 0.8, .format = format, .every = 1};
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
          if (state_of_it || t.name.ends_with(kActive))
            kept[t.name] = run.bytes(graph.find(t.name));
        }
        return kept;
      };
      std::map<std::string, std::vector<std::byte>> first;
      for (const std::string& backend : backend_names()) {
        const auto expected = state(plain, backend);
        for (const auto& [name, bytes] : expected) {
          if (!name.ends_with(kActive)) continue;
          const auto it = first.try_emplace(name, bytes).first;
          EXPECT_TRUE(it->second == bytes) << model << ' ' << name << " on " << backend;
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

// Through the program.
class SparseRun : public testing::Test {
 protected:
  SparseRun() { runtime_test::write_bars(dir_ / "data", 192, 64); }
  std::string line(const std::string& run, const std::string& more) const {
    return "train --model resnet18_cifar --width 0.25 --batch 16 --threads 2 --epochs 2 --seed 3 "
           "--json --sparsity 0.8 --sparse-every 5 --checkpoint-every 1 --data " +
           dir_ / "data" + " --run " + dir_ / run + " " + more;
  }
  const TempDir dir_;
};

TEST_F(SparseRun, KilledItGoesOnToTheSameBits) {
  const Finished whole = cli_test::thimble(line("whole", ""));
  ASSERT_EQ(whole.exit_code, 0) << whole.err;
  int killed = 0;
  double limit = 0.2;
  for (int attempt = 0; attempt < 60; ++attempt, limit *= 1.15) {
    const bool resume = std::filesystem::exists(dir_ / "run/checkpoint.safetensors");
    const Finished f = cli_test::shell(
        str_cat("timeout -s KILL ", limit, " $thimble ", line("run", resume ? "--resume" : "")));
    if (f.exit_code == 137) {
      ++killed;
      continue;
    }
    ASSERT_EQ(f.exit_code, 0) << f.err;
    break;
  }
  EXPECT_GT(killed, 1);
  for (const char* file : {"model.safetensors", "checkpoint.safetensors"}) {
    const SafetensorsReader a(dir_ / "whole/" + file), b(dir_ / "run/" + file);
    ASSERT_EQ(a.entries(), b.entries());
    for (const TensorEntry& e : a.entries()) {
      std::vector<std::byte> x(static_cast<size_t>(e.bytes)), y(x.size());
      a.read(e.name, x.data(), e.bytes);
      b.read(e.name, y.data(), e.bytes);
      EXPECT_TRUE(x == y) << file << ' ' << e.name;
    }
  }
}

TEST(SparsePlan, SaysThatItIsAnotherComputationAndWhatItTakes) {
  const Finished f = cli_test::thimble(
      "plan --json --model resnet50 --batch 16 --norm group --sparsity 0.9 --budget 120MiB");
  ASSERT_EQ(f.exit_code, 0) << f.err;
  const json plan = json::parse(f.out);
  EXPECT_NE(plan["techniques"].dump().find("microbatch: "), std::string::npos);
  EXPECT_EQ(plan["promise"], "approximate");
  EXPECT_NE(plan["techniques"].dump().find("sparse_weights: rigl, changed every 100 steps, "),
            std::string::npos);
  EXPECT_LE(plan["by_category"]["weights"].get<int64_t>() +
                plan["by_category"]["optimizer"].get<int64_t>(),
            26 << 20);
}

TEST_F(SparseRun, TheModelIsDenseInItsFileAndMostlyZero) {
  const Finished f = cli_test::thimble(line("run", "--sparse-method set"));
  ASSERT_EQ(f.exit_code, 0) << f.err;
  const SafetensorsReader model(dir_ / "run/model.safetensors");
  int64_t zeros = 0, all = 0;
  for (const TensorEntry& e : model.entries()) {
    EXPECT_FALSE(e.name.ends_with(kActive));
    if (e.shape.size() < 4) continue;
    std::vector<float> values(static_cast<size_t>(e.bytes / 4));
    model.read(e.name, values.data(), e.bytes);
    zeros += std::count(values.begin(), values.end(), 0.0f);
    all += std::ssize(values);
  }
  EXPECT_NEAR(static_cast<double>(zeros) / static_cast<double>(all), 0.8, 0.02);
  const json trained = json::parse(f.out);
  const Finished eval =
      cli_test::thimble("eval --json --run " + dir_ / "run" + " --data " + dir_ / "data");
  ASSERT_EQ(eval.exit_code, 0) << eval.err;
  EXPECT_EQ(json::parse(eval.out)["accuracy"], trained["accuracy"]);
}

// A dense model keeps its largest weights; one with as many zeros is what it was.
TEST_F(SparseRun, BeginsFromTheLargestWeightsOfADenseModel) {
  const std::string dense = dir_ / "dense";
  const std::string common =
      "train --model resnet18_cifar --width 0.25 --batch 16 --seed 3 --data " + dir_ / "data" +
      " --lr 1e-30 ";
  ASSERT_EQ(cli_test::thimble(common + "--run " + dense).exit_code, 0);
  const auto from = [&](const std::string& run, const std::string& file) {
    const Finished f = cli_test::thimble(common + "--sparsity 0.8 --sparse-method static --init " +
                                         file + " --run " + dir_ / run);
    EXPECT_EQ(f.exit_code, 0) << f.err;
    return dir_ / run + "/model.safetensors";
  };
  const std::string once = from("once", dense + "/model.safetensors");
  const std::string twice = from("twice", once);
  const SafetensorsReader a(dense + "/model.safetensors"), b(once), c(twice);
  int thinner = 0;
  for (const TensorEntry& e : a.entries()) {
    if (e.shape.size() < 2) continue;
    std::vector<float> x(static_cast<size_t>(e.bytes / 4)), y(x.size()), z(x.size());
    a.read(e.name, x.data(), e.bytes);
    b.read(e.name, y.data(), e.bytes);
    c.read(e.name, z.data(), e.bytes);
    EXPECT_TRUE(y == z) << e.name;
    float least = std::numeric_limits<float>::infinity(), largest = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      if (y[i] != 0) {
        EXPECT_EQ(x[i], y[i]);
        least = std::min(least, std::abs(x[i]));
      } else {
        largest = std::max(largest, std::abs(x[i]));
      }
    }
    EXPECT_LE(largest, least) << e.name;
    thinner += largest > 0;
  }
  EXPECT_GT(thinner, 3);
}

TEST_F(SparseRun, ABrokenIndexIsOneError) {
  ASSERT_EQ(cli_test::thimble(line("run", "")).exit_code, 0);
  const std::string path = dir_ / "run/checkpoint.safetensors";
  data_test::Bytes bytes = read_file(path);
  const SafetensorsReader file(path);
  int64_t offset = std::ssize(bytes);
  for (auto e = file.entries().rbegin(); e != file.entries().rend(); ++e) {
    offset -= e->bytes;
    if (e->name.ends_with(kActive)) break;
  }
  bytes[static_cast<size_t>(offset)] = 77;  // units before the first tile
  data_test::write_file(path, bytes);
  std::filesystem::remove(dir_ / "run/model.safetensors");
  const Finished f = cli_test::thimble(line("run", "--epochs 3 --resume"));
  EXPECT_EQ(f.exit_code, 2);
  EXPECT_NE(f.err.find("is no index of positions"), f.err.npos) << f.err;
}

}  // namespace
}  // namespace thimble
