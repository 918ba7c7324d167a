#include "runtime/executor.h"

#include <gtest/gtest.h>

#include <cstring>

#include "autodiff/differentiate.h"
#include "base/bytes.h"
#include "models/zoo.h"
#include "ops/core/builder.h"
#include "support/allocations.h"
#include "support/check_net.h"

namespace thimble {
namespace {

Graph training_graph(const std::string& name, int64_t batch = 2, const std::string& op = "sgd") {
  ModelOptions o;
  o.batch = batch;
  o.width = 0.25;
  o.height = name == "lenet" ? 28 : 32;
  const Graph forward = build_model(name, o);
  return add_optimizer(differentiate(forward, forward.find("loss")), {op, {}});
}

void set_inputs(ArenaRun& run, const Graph& graph) { run.set(draw_inputs(graph, 3)); }

TEST(Allocations, AreCountedOnlyBetweenStartAndStop) {
  if (!can_count_allocations()) GTEST_SKIP() << "the sanitizer owns the heap";
  void* volatile kept[3];  // or the compiler leaves the allocations out
  start_counting_allocations();
  kept[0] = std::malloc(100);
  kept[1] = ::operator new(100);
  kept[2] = std::calloc(1, 100);
  const Allocations counted = stop_counting_allocations();
  std::free(kept[0]);
  ::operator delete(kept[1]);
  std::free(kept[2]);
  EXPECT_EQ(counted.own, 3);
  EXPECT_EQ(counted.in_onednn, 0);
}

TEST(Executor, AStepAllocatesNothing) {
  if (!can_count_allocations()) GTEST_SKIP() << "the sanitizer owns the heap";
  for (const std::string& backend : backend_names()) {
    for (int threads : {1, 2}) {
      const ThreadCount scope(threads);
      for (const Model* model : zoo()) {
        SCOPED_TRACE(str_cat(model->name, " on ", backend, " with ", threads, " threads"));
        const Graph graph = training_graph(model->name);
        ArenaRun run(graph, backend);
        set_inputs(run, graph);
        run.executor().run();
        run.executor().run();
        start_counting_allocations();
        run.executor().run();
        const Allocations a = stop_counting_allocations();
        EXPECT_EQ(a.own, 0);
        // oneDNN 2.6 takes and returns a few bytes around each primitive.
        EXPECT_EQ(a.onednn_live_bytes, 0);
        EXPECT_LE(a.onednn_peak_bytes, 64 << 10);
        EXPECT_TRUE(backend != "portable" || a.in_onednn == 0) << a.in_onednn;
        RecordProperty(str_cat(model->name, "_", backend, "_", threads, "_onednn_calls"),
                       std::to_string(a.in_onednn));
        RecordProperty(str_cat(model->name, "_", backend, "_", threads, "_onednn_peak_bytes"),
                       std::to_string(a.onednn_peak_bytes));
      }
    }
  }
}

// The plan neither forgets bytes that a step touches nor books any that none does.
TEST(Executor, TouchesExactlyTheArena) {
  for (const Model* model : zoo()) {
    for (const char* op : {"sgd", "adam"}) {
      SCOPED_TRACE(str_cat(model->name, " with ", op));
      const Graph graph = training_graph(model->name, 2, op);
      ArenaRun run(graph, "portable");
      set_inputs(run, graph);
      run.run();  // checks the guards
      EXPECT_GT(run.arena().touched_bytes(), run.arena().bytes() - kAlignment);
      EXPECT_EQ(run.arena().bytes(), run.plan().arena_bytes);
    }
  }
}

TEST(Executor, TouchesNothingOutsideTheArenaOnAnyBackend) {
  for (const std::string& backend : backend_names()) {
    for (int threads : {1, 3}) {
      const ThreadCount scope(threads);
      for (const Model* model : zoo()) {
        SCOPED_TRACE(str_cat(model->name, " on ", backend, " with ", threads, " threads"));
        const Graph graph = training_graph(model->name);
        ArenaRun run(graph, backend);
        set_inputs(run, graph);
        run.run();
        EXPECT_TRUE(run.arena().guards_intact());
      }
    }
  }
}

TEST(Executor, RepeatsItsBits) {
  for (const std::string& backend : backend_names()) {
    const ThreadCount scope(2);
    const Graph graph = training_graph("mobilenet_v1_patch", 4);
    ArenaRun first(graph, backend), second(graph, backend);
    for (ArenaRun* run : {&first, &second}) {
      set_inputs(*run, graph);
      for (int step = 0; step < 3; ++step) run->run();
    }
    for (size_t t = 0; t < graph.tensors.size(); ++t) {
      const auto b = static_cast<BufferId>(t);
      if (!first.schedule().buffer(b).persistent) continue;
      EXPECT_EQ(first.bytes(b), second.bytes(b)) << graph.tensors[t].name << " on " << backend;
    }
  }
}

TEST(Executor, TimesEveryStep) {
  const Graph graph = training_graph("lenet");
  ArenaRun run(graph, "portable");
  set_inputs(run, graph);
  std::vector<double> seconds;
  run.executor().run_timed(0, seconds);
  ASSERT_EQ(seconds.size(), run.schedule().steps.size());
  const std::vector<double> once = seconds;
  run.executor().run_timed(0, seconds);
  for (size_t s = 0; s < seconds.size(); ++s) {
    EXPECT_GT(once[s], 0);
    EXPECT_GT(seconds[s], once[s]);  // added up
  }
}

// Three batches by turns through two places, as the data loader fills them, and through one.
TEST(Executor, SlotsGiveTheResultOfASinglePlace) {
  for (const std::string& backend : backend_names()) {
    const Graph graph = training_graph("mobilenet_v1_patch", 4);
    const TensorId images = graph.find("images"), labels = graph.find("labels");
    ArenaRun single(graph, backend), doubled(graph, backend);
    set_inputs(single, graph);
    set_inputs(doubled, graph);
    const int64_t image_bytes = round_up(doubled.schedule().buffer(images).bytes, kAlignment);
    GuardedArena more(image_bytes + doubled.schedule().buffer(labels).bytes);
    auto* next_images = more.data();
    auto* next_labels = more.data() + image_bytes;
    Executor executor(doubled.schedule(), doubled.plan(), doubled.arena().data(),
                      {{images, {doubled.executor().address(images), next_images}},
                       {labels, {doubled.executor().address(labels), next_labels}}});
    for (size_t step = 0; step < 3; ++step) {
      const Values batch = draw_inputs(graph, 10 + step);
      for (TensorId t : {images, labels}) {
        single.set(t, batch[static_cast<size_t>(t)]);
        const std::vector<std::byte> bytes = single.bytes(t);
        void* next = t == images ? next_images : next_labels;
        std::memcpy(step % 2 == 0 ? doubled.executor().address(t) : next, bytes.data(),
                    bytes.size());
      }
      single.executor().run();
      executor.run(step % 2);
      for (size_t t = 0; t < graph.tensors.size(); ++t) {
        const auto b = static_cast<BufferId>(t);
        if (!single.schedule().buffer(b).persistent || b == images || b == labels) continue;
        ASSERT_EQ(single.bytes(b), doubled.bytes(b))
            << graph.tensors[t].name << " after step " << step << " on " << backend;
      }
    }
  }
}

TEST(Executor, RefusesADamagedPlan) {
  const Graph graph = training_graph("lenet");
  ArenaRun run(graph, "portable");
  MemoryPlan bad = run.plan();
  bad.arena_bytes -= kAlignment;
  EXPECT_THROW(Executor(run.schedule(), bad, run.arena().data()), InternalError);
}

}  // namespace
}  // namespace thimble
