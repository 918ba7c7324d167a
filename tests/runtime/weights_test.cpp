#include "runtime/weights.h"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>

#include "autodiff/differentiate.h"
#include "base/bytes.h"
#include "cli/child.h"
#include "models/model.h"
#include "runtime/safetensors.h"
#include "support/arena_run.h"
#include "support/expect_error.h"
#include "transforms/offload.h"

namespace thimble {
namespace {

using cli_test::TempDir;
using data_test::read_file;

Graph training_graph(const std::string& name, double width = 0.5) {
  ModelOptions o;
  o.batch = 2;
  o.width = width;
  const Graph forward = build_model(name, o);
  return add_optimizer(differentiate(forward, forward.find("loss")), {"sgd", {{"momentum", 0.9}}});
}

// A program's memory and the weights in it. The arena begins full of NaN.
struct Store {
  Schedule schedule;
  MemoryPlan plan;
  std::unique_ptr<GuardedArena> memory;
  std::byte* arena = nullptr;
  PageFile pages{testing::TempDir()};
  std::unique_ptr<WeightStore> weights;

  Store(const Graph& graph, const std::string& backend) {
    std::vector<NamedLayout> layouts;
    schedule = make_schedule(graph, *make_backend(backend), layouts);
    plan = plan_memory(schedule, place_persistent({&schedule}, {}));
    const int64_t bytes =
        std::max(plan.arena_bytes, plan.persistent_bytes + staging_bytes(schedule));
    memory = std::make_unique<GuardedArena>(bytes);
    arena = memory->data();
    for (const Buffer& b : schedule.buffers) {
      if (b.page != kNoPage) pages.book(b.page, b.bytes);
    }
    pages.open();
    weights = std::make_unique<WeightStore>(schedule, plan, arena, bytes, &pages);
  }
};

TEST(WeightStore, FirstValuesAreTheSameOnEveryBackend) {
  for (const char* model : {"mobilenet_v2", "resnet18_cifar", "lenet"}) {
    const TempDir dir;
    const Graph graph = training_graph(model);
    for (const std::string& backend : backend_names()) {
      Store store(graph, backend);
      store.weights->initialise(7);
      store.weights->save(dir / backend, true, {});
      EXPECT_EQ(read_file(dir / backend), read_file(dir / backend_names().front()))
          << model << ' ' << backend;
    }
    EXPECT_GT(read_file(dir / "portable").size(), 100000) << model;
  }
}

// What waits in the page file goes to a checkpoint and comes from it as if it were in memory.
TEST(WeightStore, PagedStateGoesToFilesToo) {
  const TempDir dir;
  const Graph graph = training_graph("resnet18_cifar");
  for (const std::string& backend : backend_names()) {
    Store kept(graph, backend);
    kept.weights->initialise(7);
    for (size_t b = 0; b < kept.schedule.buffers.size(); ++b) {
      const Buffer& buffer = kept.schedule.buffers[b];
      if (buffer.category != Category::optimizer) continue;
      auto* values = reinterpret_cast<float*>(
          kept.arena + kept.plan.blocks[static_cast<size_t>(kept.plan.block_of_buffer[b])].offset);
      for (int64_t i = 0; i < buffer.bytes / 4; ++i) values[i] = static_cast<float>(i % 251);
    }
    kept.weights->save(dir / "kept", true, {});
    Store paged(offload(graph, 100), backend);
    const auto waiting = std::count_if(paged.schedule.buffers.begin(), paged.schedule.buffers.end(),
                                       [](const Buffer& b) { return b.page != kNoPage; });
    EXPECT_GT(waiting, 10);
    paged.weights->load(dir / "kept", true);
    paged.weights->save(dir / "paged", true, {});
    EXPECT_TRUE(read_file(dir / "kept") == read_file(dir / "paged")) << backend;
    EXPECT_TRUE(paged.memory->guards_intact());
    paged.weights->initialise(7);
    paged.weights->save(dir / "paged first", true, {});
    Store first(graph, backend);
    first.weights->initialise(7);
    first.weights->save(dir / "first", true, {});
    EXPECT_TRUE(read_file(dir / "first") == read_file(dir / "paged first")) << backend;
  }
}

TEST(WeightStore, FirstValuesFollowTheModel) {
  const TempDir dir;
  Store store(training_graph("resnet18_cifar", 1), backend_names().front());
  store.weights->initialise(7);
  store.weights->save(dir / "file", true, {});
  const SafetensorsReader file(dir / "file");
  const auto read = [&](const std::string& name) {
    for (const TensorEntry& e : file.entries()) {
      if (e.name != name) continue;
      std::vector<float> values(static_cast<size_t>(e.bytes / 4));
      file.read(name, values.data(), e.bytes);
      return values;
    }
    ADD_FAILURE() << "no " << name;
    return std::vector<float>{};
  };
  for (const TensorEntry& e : file.entries()) {
    const bool zero = e.name.starts_with("optimizer.") || e.name.ends_with("running_mean");
    const bool one = e.name.ends_with("running_var");
    if (!zero && !one) continue;
    for (float v : read(e.name)) ASSERT_EQ(v, one ? 1.0f : 0.0f) << e.name;
  }
  const auto init_of = [&](const std::string& name) {
    return store.schedule.buffer(store.schedule.find(name)).init;
  };
  // A thousand normal numbers have the deviation that they are drawn with, within 3%.
  for (const Buffer& b : store.schedule.buffers) {
    if (!b.persistent || b.init.kind != Init::Kind::normal || b.shape.elements() < 10000) continue;
    double squares = 0;
    for (float v : read(b.name)) squares += static_cast<double>(v) * v;
    const double deviation = std::sqrt(squares / static_cast<double>(b.shape.elements()));
    EXPECT_NEAR(deviation / init_of(b.name).value, 1, 0.03) << b.name;
  }
}

TEST(WeightStore, AnotherSeedGivesOtherWeights) {
  const TempDir dir;
  Store store(training_graph("lenet"), "portable");
  store.weights->initialise(7);
  store.weights->save(dir / "a", false, {});
  store.weights->initialise(8);
  store.weights->save(dir / "b", false, {});
  EXPECT_NE(read_file(dir / "a"), read_file(dir / "b"));
}

TEST(WeightStore, SavingAndLoadingKeepsEveryBit) {
  for (const std::string& backend : backend_names()) {
    const TempDir dir;
    const Graph graph = training_graph("mobilenet_v2");
    Store first(graph, backend), second(graph, backend);
    first.weights->initialise(1);
    first.weights->save(dir / "file", true, {{"step", "12"}});
    const auto metadata = second.weights->load(dir / "file", true);
    EXPECT_EQ(metadata, (std::map<std::string, std::string>{{"step", "12"}}));
    for (size_t b = 0; b < first.schedule.buffers.size(); ++b) {
      const Buffer& buffer = first.schedule.buffers[b];
      const bool kept =
          buffer.category == Category::weights || buffer.category == Category::optimizer;
      if (!buffer.persistent || !kept) continue;
      const int64_t offset =
          first.plan.blocks[static_cast<size_t>(first.plan.block_of_buffer[b])].offset;
      ASSERT_TRUE(std::equal(first.arena + offset, first.arena + offset + buffer.bytes,
                             second.arena + offset))
          << buffer.name << " on " << backend;
    }
  }
}

TEST(WeightStore, AFileOfOneBackendServesTheOther) {
  const TempDir dir;
  const Graph graph = training_graph("resnet18_cifar");
  Store portable(graph, "portable"), other(graph, backend_names().front());
  portable.weights->initialise(5);
  portable.weights->save(dir / "a", true, {});
  other.weights->load(dir / "a", true);
  other.weights->save(dir / "b", true, {});
  EXPECT_EQ(read_file(dir / "a"), read_file(dir / "b"));
}

TEST(WeightStore, AModelFileHasNoOptimizerState) {
  const TempDir dir;
  Store store(training_graph("lenet"), "portable");
  store.weights->initialise(1);
  store.weights->save(dir / "model", false, {});
  const SafetensorsReader file(dir / "model");
  EXPECT_EQ(file.entries().size(), 10);
  EXPECT_EQ(file.entries()[0].name, "conv1.weight");
  EXPECT_EQ(file.entries()[0].shape, (std::vector<int64_t>{3, 1, 5, 5}));
  Store again(training_graph("lenet"), "portable");
  again.weights->load(dir / "model", false);
  expect_user_error([&] { again.weights->load(dir / "model", true); },
                    "optimizer.momentum.conv1.weight");
}

TEST(WeightStore, RefusesAFileOfAnotherModel) {
  const TempDir dir;
  Store narrow(training_graph("lenet", 0.5), "portable");
  Store wide(training_graph("lenet", 1), "portable");
  narrow.weights->initialise(1);
  narrow.weights->save(dir / "model", false, {});
  expect_user_error([&] { wide.weights->load(dir / "model", false); }, "conv1.weight");
}

// The file of a model with one tensor replaced.
struct Forged {
  std::string dtype = "F32";
  std::vector<int64_t> shape;
  int64_t bytes = 0;
  float first = 0;
};

void forge(const std::string& from, const std::string& to, const Forged& forged) {
  const SafetensorsReader reader(from);
  std::vector<TensorEntry> layout = reader.entries();
  layout[0] = {layout[0].name, forged.dtype, forged.shape, forged.bytes};
  SafetensorsWriter writer(to, layout);
  for (const TensorEntry& e : layout) {
    std::vector<float> values(static_cast<size_t>(e.bytes / 4), 0.5f);
    if (e.name == layout[0].name) values[0] = forged.first;
    writer.write(values.data(), e.bytes);
  }
  writer.finish();
}

TEST(WeightStore, RefusesTensorsThatDoNotServe) {
  for (const std::string& backend : backend_names()) {
    const TempDir dir;
    Store store(training_graph("lenet"), backend);
    store.weights->initialise(1);
    store.weights->save(dir / "model", false, {});
    const std::vector<int64_t> shape = {3, 1, 5, 5};
    const auto refused = [&](const Forged& forged) {
      forge(dir / "model", dir / "forged", forged);
      return data_test::error_of([&] { store.weights->load(dir / "forged", false); });
    };
    const std::string tensor = dir / "forged: tensor conv1.weight ";
    EXPECT_EQ(refused({"F32", shape, 300, 0.25f}), "");
    const std::string not_numbers = tensor + "holds values that are not numbers";
    EXPECT_EQ(refused({"F32", shape, 300, std::nanf("")}), not_numbers);
    EXPECT_EQ(refused({"F32", shape, 300, -INFINITY}), not_numbers);
    EXPECT_EQ(refused({"F64", shape, 600, 0}),
              tensor + "is F64 (3, 1, 5, 5), the model needs F32 (3, 1, 5, 5)");
    EXPECT_EQ(refused({"I32", shape, 300, 0}),
              tensor + "is I32 (3, 1, 5, 5), the model needs F32 (3, 1, 5, 5)");
    EXPECT_EQ(refused({"F32", {5, 5, 1, 3}, 300, 0}),
              tensor + "is F32 (5, 5, 1, 3), the model needs F32 (3, 1, 5, 5)");
  }
}

}  // namespace
}  // namespace thimble
