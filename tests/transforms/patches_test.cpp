#include "transforms/patches.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <regex>

#include "ops/core/builder.h"
#include "runtime/fixtures.h"
#include "runtime/session.h"
#include "support/check_backends.h"
#include "support/expect_error.h"
#include "transforms/fixtures.h"

namespace thimble {
namespace {

using runtime_test::TempDir;
using transforms_test::small_net;
using transforms_test::training_graph;

constexpr int64_t kPictures = 2, kPatches = 3;

Graph forward_of(const std::string& norm) {
  return small_net("mobilenet_v1_patch", kPictures * kPatches, norm);
}

// The same loss by ops that know nothing of patches: a picture's logits in one row, a linear layer
// that takes their mean, and one label for each picture.
Graph plain_mean(const Graph& forward) {
  Graph graph = with_patches(forward, kPatches, true);
  const auto mean = std::find_if(graph.nodes.begin(), graph.nodes.end(),
                                 [](const Node& n) { return n.op == "picture_mean"; });
  const Node old = *mean;
  const auto after = std::vector<Node>(mean + 1, graph.nodes.end());
  graph.nodes.erase(mean, graph.nodes.end());
  const int64_t classes = graph.tensor(old.inputs[0]).shape[1];
  const TensorId row = append_node(graph, Phase::forward, "reshape", "row", {old.inputs[0]},
                                   {{"shape", std::vector<int64_t>{-1, kPatches * classes}}})[0];
  const TensorId weights = graph.add_tensor(
      {"to mean", {classes, kPatches * classes}, ElementType::f32, Role::data, {}, false});
  const TensorId joined =
      append_node(graph, Phase::forward, "linear", "joined", {row, weights, kNoTensor},
                  {{"out_features", classes}, {"bias", int64_t{0}}})[0];
  graph.tensor(graph.find("labels")).shape = {kPictures};
  const Attributes& how = after.front().attributes;
  const auto loss = append_node(graph, Phase::forward, "softmax_cross_entropy", "criterion",
                                {joined, graph.find("labels")}, how);
  for (const char* name : {"loss", "correct"}) graph.tensor(graph.find(name)).name += " before";
  graph.tensor(loss[0]).name = "loss";
  graph.tensor(loss[1]).name = "correct";
  graph.tensor(loss[0]).role = graph.tensor(loss[1]).role = Role::metric;
  return graph;
}

// Gradients of all patches at once, in double: momentum after one step.
std::vector<double> momentum_of(const Graph& forward, bool plain, double* loss) {
  const Graph two_passes = with_patches(forward, kPatches, true);
  const Graph graph = training_graph(plain ? plain_mean(forward) : two_passes);
  const Values inputs = draw_inputs(training_graph(two_passes), 3);
  const auto set = [&](Interpreter<double>& run, const Graph& of) {
    const Graph drawn = training_graph(two_passes);
    for (size_t t = 0; t < drawn.tensors.size(); ++t) {
      const TensorId to = of.find(drawn.tensors[t].name);
      if (to == kNoTensor || inputs[t].empty()) continue;
      if (of.tensor(to).shape == drawn.tensors[t].shape) run.set(to, inputs[t]);
    }
    std::vector<double> labels;
    const int64_t rows = of.tensor(of.find("labels")).shape[0];
    for (int64_t i = 0; i < rows; ++i) labels.push_back(i * kPictures / rows == 0 ? 3 : 7);
    run.set(of.find("labels"), labels);
  };
  Interpreter<double> run(graph);
  set(run, graph);
  if (plain) {
    const Shape shape = graph.tensor(graph.find("to mean")).shape;
    std::vector<double> mean(static_cast<size_t>(shape.elements()));
    for (int64_t i = 0; i < shape.elements(); ++i) {
      mean[static_cast<size_t>(i)] = i % shape[1] % shape[0] == i / shape[1] ? 1.0 / kPatches : 0;
    }
    run.set(graph.find("to mean"), mean);
  } else {
    const Graph evaluation = inference_graph(two_passes);
    Interpreter<double> first(evaluation);
    set(first, evaluation);
    const TensorId sums = evaluation.find(kPatchSums);
    first.set(sums, std::vector<double>(
                        static_cast<size_t>(evaluation.tensor(sums).shape.elements()), 0.0));
    first.run();
    run.set(graph.find(kPatchSums), first.get(sums));
  }
  run.run();
  *loss = run.get(graph.find("loss"))[0];
  std::vector<double> all;
  for (size_t t = 0; t < graph.tensors.size(); ++t) {
    if (graph.tensors[t].role != Role::optimizer) continue;
    const auto values = run.get(static_cast<TensorId>(t));
    all.insert(all.end(), values.begin(), values.end());
  }
  return all;
}

double largest_difference(const std::vector<double>& a, const std::vector<double>& b) {
  EXPECT_EQ(a.size(), b.size());
  double largest = 0, difference = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    largest = std::max(largest, std::abs(a[i]));
    difference = std::max(difference, std::abs(a[i] - b[i]));
  }
  EXPECT_GT(largest, 0);
  return difference / largest;
}

TEST(Patches, TwoPassesGiveTheGradientOfTheMeanOfLogits) {
  for (const char* norm : {"group", "frozen"}) {
    double loss = 0, expected_loss = 0;
    const auto got = momentum_of(forward_of(norm), false, &loss);
    const auto expected = momentum_of(forward_of(norm), true, &expected_loss);
    EXPECT_LT(largest_difference(expected, got), 1e-12) << norm;
    EXPECT_NEAR(loss, expected_loss, 1e-12) << norm;
  }
}

TEST(Patches, EachLossIsThatOfThePlainNetwork) {
  const Graph forward = forward_of("group");
  const Graph patches = with_patches(forward, kPatches, false);
  transforms_test::expect_same_step(training_graph(patches), training_graph(forward), 1e-5);
}

// Momentum after one step of the whole program, on so many parts of the batch: pictures of the data
// are cut by the loader, and both passes run in one arena.
std::vector<float> trained(TrainOptions o, int64_t microbatches, const std::string& file) {
  Setup setup = prepare(std::move(o), true);
  setup.request.numerics = Numerics{microbatches, {}};
  const Plan plan = make_plan(std::move(setup.request), setup.machine);
  Session session(setup, plan);
  session.weights().initialise(1);
  const auto loader = session.open_loader(Session::Part::training);
  loader->begin_epoch(0);
  EXPECT_TRUE(session.train_step(*loader, 0.01, 0));
  session.weights().save(file, true, {});
  const SafetensorsReader reader(file);
  std::vector<float> all;
  for (const TensorEntry& entry : reader.entries()) {
    if (!entry.name.starts_with("optimizer.")) continue;
    std::vector<float> values(static_cast<size_t>(entry.bytes) / sizeof(float));
    reader.read(entry.name, values.data(), entry.bytes);
    all.insert(all.end(), values.begin(), values.end());
  }
  return all;
}

Session::Evaluation evaluated(TrainOptions o, int64_t microbatches) {
  Setup setup = prepare(std::move(o), true);
  setup.request.numerics = Numerics{microbatches, {}};
  const Plan plan = make_plan(std::move(setup.request), setup.machine);
  Session session(setup, plan);
  session.weights().initialise(1);
  return *session.evaluate(Session::Part::test);
}

class PatchRun : public testing::Test {
 protected:
  PatchRun() { runtime_test::write_bars(dir_ / "data", 83, 21); }

  TrainOptions options(const std::string& loss) const {
    TrainOptions o;
    o.model.name = "mobilenet_v1_patch";
    o.model.batch = 2;
    o.model.width = 0.25;
    o.model.norm = "group";
    o.patches = {64, 96, 0, loss};
    o.data.path = dir_ / "data";
    o.optimizer.learning_rate = 0.02;
    o.threads = 2;
    return o;
  }

  const TempDir dir_;
  const ThreadCount threads_{2};
};

TEST_F(PatchRun, OnePatchInMemoryGivesTheGradientOfAll) {
  for (const char* loss : {"mean", "each"}) {
    // 2 pictures of 6 patches: all at once, one picture, parts of one, one patch.
    const auto all = trained(options(loss), 1, dir_ / "all");
    for (int64_t microbatches : {2, 4, 6, 12}) {
      const auto parts = trained(options(loss), microbatches, dir_ / "parts");
      ASSERT_EQ(parts.size(), all.size());
      double difference = 0, norm = 0;
      for (size_t i = 0; i < all.size(); ++i) {
        difference += std::pow(double{all[i]} - double{parts[i]}, 2);
        norm += std::pow(double{all[i]}, 2);
      }
      EXPECT_LT(std::sqrt(difference / norm), 1e-5) << loss << ", " << microbatches;
    }
  }
}

TEST_F(PatchRun, EvaluationDoesNotDependOnHowManyPatchesAreInMemory) {
  std::vector<Session::Evaluation> results;
  for (int64_t microbatches : {1, 2, 4, 12}) {
    results.push_back(evaluated(options("each"), microbatches));
    EXPECT_EQ(results.back().examples, 21);
    EXPECT_EQ(results.back().accuracy, results.front().accuracy);
    EXPECT_NEAR(results.back().loss, results.front().loss, 1e-5);
  }
}

TEST_F(PatchRun, EndsInTheSameBitsWhenItIsResumed) {
  for (const char* loss : {"mean", "each"}) {
    TrainOptions o = options(loss);
    o.data.flip = true;
    o.epochs = 2;
    o.run_folder = dir_ / "whole" + loss;
    EXPECT_TRUE(train(o).trained);
    const auto whole = data_test::read_file(o.run_folder + "/model.safetensors");
    o.run_folder = dir_ / "stopped" + loss;
    int64_t steps = 0;
    EXPECT_FALSE(
        train(
            o, [&](const Progress& p) { steps += !p.epoch_done; }, [&] { return steps >= 3; })
            .trained);
    o.resume = true;
    EXPECT_TRUE(train(o).trained);
    EXPECT_EQ(data_test::read_file(o.run_folder + "/model.safetensors"), whole) << loss;
  }
}

TEST_F(PatchRun, KilledWithAPartOfAPictureInMemoryItGoesOnToTheSameBits) {
  const std::string model =
      " --model mobilenet_v1_patch --width 0.25 --norm group --batch 2 --patches-of 64x96 "
      "--patch-loss mean --threads 2 --json --data " +
      dir_ / "data";
  const auto plan = [&](const std::string& budget) {
    return nlohmann::json::parse(cli_test::thimble("plan" + model + " --budget " + budget).out);
  };
  const int64_t smallest = plan("1MiB")["smallest_budget_bytes"];
  const std::string budget = str_cat(smallest);
  // More parts than the batch has pictures.
  std::smatch parts;
  const std::string techniques = plan(budget)["techniques"].dump();
  ASSERT_TRUE(std::regex_search(techniques, parts, std::regex("microbatch: ([0-9]+) of")))
      << techniques;
  EXPECT_GT(std::stoi(parts[1]), 2);
  const auto line = [&](const std::string& run) {
    return "train" + model + " --budget " + budget +
           " --epochs 4 --flip --checkpoint-every 1 --run " + dir_ / run;
  };
  // At the edge of a budget a run that begins anew may be planned in other parts, as its process
  // and what else the machine does are measured: both go on from one first checkpoint, which keeps
  // them.
  double seconds = 0.25;
  for (; !std::filesystem::exists(dir_ / "run/checkpoint.safetensors"); seconds *= 1.4) {
    ASSERT_LT(seconds, 10);
    cli_test::shell(str_cat("timeout -s KILL ", seconds, " $thimble ", line("run")));
  }
  std::filesystem::copy(dir_ / "run", dir_ / "whole");
  const cli_test::Finished whole = cli_test::thimble(line("whole") + " --resume");
  ASSERT_EQ(whole.exit_code, 0) << whole.err;
  EXPECT_GT(runtime_test::kill_until_done(line("run"), dir_ / "run", seconds / 2), 1);
  EXPECT_TRUE(data_test::read_file(dir_ / "whole/model.safetensors") ==
              data_test::read_file(dir_ / "run/model.safetensors"));
}

TEST_F(PatchRun, EvalReadsTheRun) {
  TrainOptions o = options("mean");
  o.run_folder = dir_ / "run";
  const TrainReport trained = train(o);
  TrainOptions again;
  again.run_folder = o.run_folder;
  const EvalReport report = evaluate(again);
  EXPECT_EQ(report.examples, 21);
  EXPECT_EQ(report.accuracy, trained.accuracy);
  EXPECT_EQ(trained.plan.promise, "approximate");
}

TEST_F(PatchRun, SaysWhatIsWrong) {
  const auto refuses = [&](auto change, const std::string& words) {
    TrainOptions o = options("mean");
    change(o);
    expect_user_error([&] { plan(o); }, words);
  };
  refuses([](TrainOptions& o) { o.model.norm = "batch"; }, "use --norm group or --norm frozen");
  refuses([](TrainOptions& o) { o.patches.height = 0; }, "give the size of the pictures");
  refuses([](TrainOptions& o) { o.patches.loss = "max"; }, "patches.loss is 'max'");
  refuses([](TrainOptions& o) { o.patches.height = 16; }, "patches of 32x32 do not fit");
  refuses([](TrainOptions& o) { o.patches.step = 33; }, "begin 33 pixels apart");
  refuses([](TrainOptions& o) { o.offload_folder = "/tmp"; }, "leave --offload out");
}

}  // namespace
}  // namespace thimble
