#include "transforms/offload.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "base/bytes.h"
#include "ops/core/builder.h"
#include "planner/planner.h"
#include "runtime/fixtures.h"
#include "support/allocations.h"
#include "support/sanitizers.h"
#include "transforms/compress_saved.h"
#include "transforms/fixtures.h"
#include "transforms/masks.h"
#include "transforms/microbatch.h"
#include "transforms/row_bands.h"
#include "transforms/small_optimizer_state.h"

namespace thimble {
namespace {

using cli_test::Finished;
using data_test::read_file;
using nlohmann::json;
using runtime_test::TempDir;
using transforms_test::drawn_plan;
using transforms_test::small_net;
using transforms_test::trained_state;
using transforms_test::training_graph;

int count_of(const Graph& graph, const std::string& op) {
  return static_cast<int>(std::count_if(graph.nodes.begin(), graph.nodes.end(),
                                        [&](const Node& n) { return n.op == op; }));
}

std::vector<std::string> tried_models() {
  if (kSanitized) return {"mobilenet_v1_patch"};
  return {"mobilenet_v1_patch", "resnet18_cifar", "mobilenet_v2"};
}

TEST(Offload, LeavesEveryBitAsItWas) {
  for (const std::string& model : tried_models()) {
    const Graph plain = training_graph(use_masks(small_net(model, 4)));
    for (const std::string& backend : backend_names()) {
      const auto expected = trained_state(plain, plain, backend);
      for (const int64_t percent : {25, 50, 100}) {
        const Graph paged = offload(plain, percent);
        EXPECT_GT(count_of(paged, "page_out"), 0);
        EXPECT_TRUE(trained_state(paged, plain, backend) == expected)
            << model << " on " << backend << " with " << percent << "%";
      }
    }
  }
}

// Momentum, and Adam's two moments, in 32 and in 8 bits: written after their update, there again
// for the next.
TEST(Offload, StateOfOptimizersWaitsToo) {
  const Graph forward = use_masks(small_net("resnet18_cifar", 4));
  const std::vector<OptimizerSpec> optimizers = {
      {"sgd", {{"momentum", 0.9}}},
      {"sgd", {{"momentum", 0.9}, {"nesterov", int64_t{1}}}},
      {"adamw", {}}};
  for (const OptimizerSpec& optimizer : optimizers) {
    const Graph full = training_graph(forward, optimizer);
    for (const Graph& plain : {full, small_optimizer_state(full)}) {
      const Graph paged = offload(plain, 25);
      int states = 0;
      for (const Node& node : paged.nodes) {
        if (node.op != "page_in") continue;
        states += paged.tensor(node.inputs[0]).role == Role::optimizer;
      }
      EXPECT_GE(states, 4) << optimizer.op;
      for (const std::string& backend : backend_names()) {
        EXPECT_TRUE(trained_state(paged, plain, backend) == trained_state(plain, plain, backend))
            << optimizer.op << " on " << backend;
      }
    }
  }
}

// The parts of a step's batch are summed up in the momentum: it stays.
TEST(Offload, StateOfMicrobatchesStays) {
  const Graph parts = accumulate_gradients(training_graph(small_net("resnet18_cifar", 4)), 3);
  const Graph paged = offload(parts, 100);
  EXPECT_GT(count_of(paged, "page_in"), 0);
  for (const Node& node : paged.nodes) {
    if (node.op == "page_in") {
      EXPECT_NE(paged.tensor(node.inputs[0]).role, Role::optimizer) << node.name;
    }
  }
}

// The arena keeps no bytes for it from step to step.
TEST(Offload, StateTakesNoBytesBetweenSteps) {
  const Graph plain = training_graph(small_net("resnet18_cifar", 4));
  const auto optimizer_bytes = [](const Graph& graph) {
    const auto backend = make_backend(backend_names().front());
    std::vector<NamedLayout> layouts;
    const Schedule s = reordered(make_schedule(graph, *backend, layouts), Order::smaller_first);
    int64_t bytes = 0;
    for (const PersistentBlock& p : place_persistent({&s}, {})) {
      bytes += p.category == Category::optimizer ? p.bytes : 0;
    }
    return bytes;
  };
  EXPECT_LT(optimizer_bytes(offload(plain, 100)) * 4, optimizer_bytes(plain));
}

// Whatever else keeps the promises: what waits is then checkpoints, codes, sums of microbatches.
TEST(Offload, LeavesEveryBitAsItWasBehindOtherTechniques) {
  const std::string backend = backend_names().front();
  const Graph plain = training_graph(use_masks(small_net("resnet18_cifar", 4)));
  const auto expect_same = [&](const Graph& graph, const Graph& inputs, const std::string& what) {
    const Graph paged = offload(graph, 100);
    EXPECT_GT(count_of(paged, "page_out"), 0) << what;
    EXPECT_TRUE(trained_state(paged, inputs, backend) == trained_state(graph, inputs, backend))
        << what;
  };
  for (uint64_t seed = 0; seed < (kSanitized ? 2 : 8); ++seed) {
    expect_same(recompute(plain, drawn_plan(plain, seed)), plain, str_cat("recompute ", seed));
  }
  expect_same(compress_saved(plain, 8), plain, "compress_saved");
  expect_same(accumulate_gradients(plain, 3), plain, "microbatch");
  const Graph frozen = small_net("mobilenet_v2", 8, "frozen");
  const Graph bands = training_graph(use_row_bands(frozen, find_row_bands(frozen, 4)));
  expect_same(bands, bands, "row_bands");
}

// A tensor that backward reads twice, far apart, is written once.
TEST(Offload, WritesOnceAndReadsAsOftenAsItIsNeeded) {
  const Graph plain = training_graph(use_masks(small_net("resnet18_cifar", 4)));
  int most = 0;
  for (uint64_t seed = 0; seed < 8; ++seed) {
    const Graph graph = offload(recompute(plain, drawn_plan(plain, seed)), 100);
    const int written = count_of(graph, "page_out");
    EXPECT_EQ(count_of(graph, "page_out_end"), written);
    EXPECT_EQ(count_of(graph, "page_in"), count_of(graph, "page_in_end"));
    EXPECT_GE(count_of(graph, "page_in"), written);
    most = std::max(most, count_of(graph, "page_in") - written);
  }
  EXPECT_GT(most, 0);
}

// No node but the two of a transfer touches what is on its way in; forward nodes may still read
// what is on its way out.
TEST(Offload, NobodyReadsWhatHasNotArrived) {
  const Graph graph = offload(training_graph(use_masks(small_net("resnet18_cifar", 16))), 100);
  std::set<TensorId> arriving;
  for (const Node& node : graph.nodes) {
    if (node.op == "page_in") arriving.insert(node.outputs[0]);
    for (TensorId t : node.inputs) {
      if (!arriving.contains(t)) continue;
      EXPECT_EQ(node.op, "page_in_end");
    }
  }
  EXPECT_GE(arriving.size(), 20u);
}

// What waits is read by the weight gradient of a late convolution, whose input gradient comes next,
// and again at the end: the second reading may not start before the first has ended.
TEST(Offload, ReadsOnePageTwiceOneAfterTheOther) {
  GraphBuilder b("skip");
  const auto conv = [&](const std::string& name, TensorId x, int64_t channels = 1) {
    return b.layer("conv2d", name, {x},
                   {{"out_channels", channels},
                    {"kernel", std::vector<int64_t>{3, 3}},
                    {"padding", std::vector<int64_t>{1, 1, 1, 1}}});
  };
  const TensorId x = b.layer("relu", "early", {conv("stem", b.images({4, 3, 64, 64}), 8)});
  TensorId z = x;
  for (int i = 0; i < 6; ++i) z = b.layer("tanh", str_cat("act", i), {conv(str_cat("conv", i), z)});
  TensorId y = b.layer("add", "sum", {conv("late", x), z});
  for (int i = 0; i < 4; ++i) y = b.layer("tanh", str_cat("top", i), {y});
  y = b.layer("tanh", "wide_act", {conv("wide", y, 64)});  // a peak, with room elsewhere
  y = b.layer("flatten", "flatten", {b.layer("global_average_pool", "pool", {y})});
  b.classify(b.layer("linear", "fc", {y}, {{"out_features", int64_t{10}}}));
  const Graph plain = training_graph(b.graph());
  const Graph paged = offload(plain, 100);
  const int64_t twice = count_of(paged, "page_in") - count_of(paged, "page_out");
  EXPECT_GE(twice, 1) << "no page is read twice";
  for (const std::string& backend : backend_names()) {
    const auto expected = trained_state(plain, plain, backend);
    EXPECT_TRUE(trained_state(paged, plain, backend) == expected) << backend;
  }
}

TEST(Offload, LeavesSmallTensorsInMemory) {
  const Graph graph = offload(training_graph(use_masks(small_net("resnet18_cifar", 4))), 100);
  for (const Node& node : graph.nodes) {
    if (node.op != "page_out") continue;
    const Tensor& t = graph.tensor(node.inputs[0]);
    EXPECT_GE(t.shape.elements() * element_bytes(t.type), 64 << 10) << t.name;
  }
  const Graph tiny = training_graph(small_net("lenet", 1));
  EXPECT_EQ(offload(tiny, 100).nodes.size(), tiny.nodes.size());
}

int64_t arena_bytes(const Graph& graph) {
  const auto backend = make_backend(backend_names().front());
  std::vector<NamedLayout> layouts;
  const Schedule s = reordered(make_schedule(graph, *backend, layouts), Order::smaller_first);
  return plan_memory(s, place_persistent({&s}, {})).arena_bytes;
}

TEST(Offload, MorePagesTakeFewerBytes) {
  const Graph plain = training_graph(use_masks(small_net("resnet18_cifar", 32)));
  int64_t before = arena_bytes(plain);
  const int64_t all = before;
  for (const int64_t percent : {25, 50, 75, 100}) {
    const int64_t bytes = arena_bytes(offload(plain, percent));
    EXPECT_LT(bytes, before) << percent;
    before = bytes;
  }
  EXPECT_LT(before, 0.45 * static_cast<double>(all));
}

TEST(Offload, AStepAllocatesNothing) {
  if (!can_count_allocations()) GTEST_SKIP() << "the sanitizer owns the heap";
  const Graph plain = training_graph(use_masks(small_net("resnet18_cifar", 4)));
  ArenaRun run(offload(plain, 100), backend_names().front());
  run.set(draw_inputs(plain, 5));
  run.executor().run();
  run.executor().run();
  start_counting_allocations();
  run.executor().run();
  EXPECT_EQ(stop_counting_allocations().own, 0);
}

// It writes to storage: only who names a folder wants that, and only where it is faster.
TEST(Offload, IsUsedOnlyWhereStorageIsGiven) {
  if (kSanitized) GTEST_SKIP() << "sanitizers take memory of their own";
  PlanRequest request;
  request.forward = small_net("resnet18_cifar", 32);
  request.optimizer = {"sgd", {}};
  Machine machine{1e11, 1e10, 2e-6};
  machine.storage = {1e10, 1e10, 1e-11};
  const auto smallest = [&](bool storage) {
    request.storage = storage;
    request.budget_bytes = 1;
    const Plan plan = make_plan(request, machine);
    EXPECT_EQ(plan.paged_bytes > 0, storage);
    return plan;
  };
  const Plan without = smallest(false), with = smallest(true);
  EXPECT_EQ(with.promise, Promise::bit_exact);
  ASSERT_LT(with.arena_bytes, without.arena_bytes - kMiB);
  request.budget_bytes = without.fixed_bytes + 2 * without.arena_bytes;
  machine.storage = {1e6, 1e6, 1e-11};
  EXPECT_EQ(make_plan(request, machine).paged_bytes, 0);
  request.budget_bytes = 0;  // nothing is paged that need not be
  EXPECT_EQ(make_plan(request, machine).paged_bytes, 0);
}

// Through the program: what it plans, what it takes, what it says.
class Offloaded : public testing::Test {
 protected:
  Offloaded() {
    runtime_test::write_bars(dir_ / "data", 192, 64);
    // Whatever device is under the folder: paging must be what is fastest.
    ::setenv("XDG_CACHE_HOME", (dir_ / "cache").c_str(), 1);
    std::filesystem::create_directories(dir_ / "cache");
    keep_storage(dir_.path(), {1e10, 1e10, 1e-11});
  }
  ~Offloaded() override { ::unsetenv("XDG_CACHE_HOME"); }

  void SetUp() override {
    if (!can_count_allocations()) GTEST_SKIP() << "sanitizers take memory of their own";
    budget_ = find_budget();
    ASSERT_GT(budget_, 0) << "nothing is paged on the fastest storage";
  }

  static std::string model() {
    return " --model resnet18_cifar --width 0.5 --batch 32 --threads 2";
  }
  std::string line(const std::string& run) const {
    return "train" + model() + " --epochs 1 --seed 3 --json --checkpoint-every 1 --data " +
           dir_ / "data" + " --run " + dir_ / run;
  }
  // The fewest bytes in which paging is the fastest; 0: there are none.
  int64_t find_budget() const {
    const Finished frontier =
        cli_test::thimble("frontier --json --data " + dir_ / "data" + model() + flag());
    const json report = json::parse(frontier.out);
    int64_t bytes = 0;
    for (const json& point : report.at("points")) {
      const std::string techniques = point.at("techniques").dump();
      const bool pages = techniques.find("offload") != techniques.npos;
      if (pages) bytes = point.at("process_bytes").get<int64_t>() + 512 * kKiB;
    }
    const Finished plan = cli_test::thimble(str_cat("plan --json --budget ", bytes, " --data ") +
                                            dir_ / "data" + model() + flag());
    return json::parse(plan.out).value("paged_bytes", 0) > 0 ? bytes : 0;
  }
  std::string flag() const { return " --offload " + dir_.path(); }

  const TempDir dir_;
  int64_t budget_ = 0;
};

TEST_F(Offloaded, StaysWithinItsPlanAndReachesTheSameWeights) {
  const std::string limit = str_cat(" --budget ", budget_);
  const Finished whole = cli_test::thimble(line("whole"));
  const Finished paged = cli_test::thimble(line("paged") + limit + flag());
  ASSERT_EQ(whole.exit_code, 0) << whole.err;
  ASSERT_EQ(paged.exit_code, 0) << paged.err;
  EXPECT_TRUE(read_file(dir_ / "whole/model.safetensors") ==
              read_file(dir_ / "paged/model.safetensors"));
  const json report = json::parse(paged.out);
  EXPECT_GT(report["paged_bytes"], kMiB);
  EXPECT_EQ(report["promise"], "bit_exact");
  EXPECT_LE(report["peak_rss_bytes"], report["process_bytes"]);
  EXPECT_LE(report["process_bytes"], budget_);
}

TEST_F(Offloaded, AFullDiskIsOneErrorBeforeTraining) {
  const std::string full =
      str_cat("ulimit -f 256; $thimble ", line("full"), " --budget ", budget_, flag());
  const Finished f = cli_test::shell(full);
  EXPECT_EQ(f.exit_code, 2);
  EXPECT_NE(f.err.find("has no room for"), f.err.npos) << f.err;
  EXPECT_NE(f.err.find("name another folder with --offload"), f.err.npos) << f.err;
  EXPECT_FALSE(std::filesystem::exists(dir_ / "full/checkpoint.safetensors"));
  const Finished none = cli_test::thimble(line("none") + " --offload " + dir_ / "nowhere");
  EXPECT_EQ(none.exit_code, 2);
  EXPECT_NE(none.err.find("nowhere"), none.err.npos) << none.err;
}

TEST_F(Offloaded, KilledItGoesOnToTheSameWeightsAndLeavesNoFile) {
  std::filesystem::create_directory(dir_ / "pages");
  const std::string arguments =
      line("run") + str_cat(" --budget ", budget_, " --offload ", dir_ / "pages");
  const Finished whole = cli_test::thimble(line("whole"));
  ASSERT_EQ(whole.exit_code, 0) << whole.err;
  const int killed = runtime_test::kill_until_done(arguments, dir_ / "run", 0.05, [&] {
    EXPECT_TRUE(std::filesystem::is_empty(dir_ / "pages"));
  });
  EXPECT_GT(killed, 2);
  EXPECT_TRUE(read_file(dir_ / "whole/model.safetensors") ==
              read_file(dir_ / "run/model.safetensors"));
}

TEST_F(Offloaded, CalibratesThePlanThatPages) {
  const Finished f = cli_test::thimble("calibrate" + model() + " --data " + dir_ / "data" +
                                       str_cat(" --budget ", budget_) + flag());
  EXPECT_EQ(f.exit_code, 0) << f.err;
  EXPECT_NE(f.out.find("a step takes"), f.out.npos) << f.out;
}

TEST_F(Offloaded, ThePlanSaysWhatIsPaged) {
  const Finished plan = cli_test::thimble("plan --data " + dir_ / "data" + model() +
                                          str_cat(" --budget ", budget_) + flag());
  EXPECT_EQ(plan.exit_code, 0);
  EXPECT_NE(plan.out.find("offload: "), plan.out.npos) << plan.out;
  EXPECT_NE(plan.out.find("written to the file of --offload in each step, and read back"),
            plan.out.npos)
      << plan.out;
}

}  // namespace
}  // namespace thimble
