#include <gtest/gtest.h>

#include <algorithm>

#include "autodiff/differentiate.h"
#include "memory/plan.h"
#include "models/mobile_network.h"
#include "models/side_network.h"
#include "models/trained.h"
#include "transforms/masks.h"

namespace thimble {
namespace {

// What a step of training those parameters keeps and takes.
struct Taken {
  std::vector<std::string> maps;  // of numbers that wait for the backward pass
  int64_t saved_bytes = 0;        // all that wait
  int64_t arena_bytes = 0;
};

Taken taken_by(Graph forward, const std::string& backend,
               const std::function<bool(const std::string& name)>& trains) {
  for (Tensor& t : forward.tensors) t.trainable = t.trainable && trains(t.name);
  const Graph masked = use_masks(forward);
  const Graph graph =
      add_optimizer(differentiate(masked, masked.find("loss")), {"sgd", {{"momentum", 0.0}}});
  const auto made = make_backend(backend);
  std::vector<NamedLayout> layouts;
  const Schedule schedule = make_schedule(graph, *made, layouts);
  Taken taken;
  for (const Buffer& b : schedule.buffers) {
    if (b.category != Category::saved) continue;
    taken.saved_bytes += b.bytes;
    const bool side = b.name.starts_with("side.");
    if (b.type == ElementType::f32 && b.shape.rank() == 4 && !side) taken.maps.push_back(b.name);
  }
  taken.arena_bytes = plan_memory(schedule, place_persistent({&schedule}, {})).arena_bytes;
  return taken;
}

Graph mobile_net() {
  ModelOptions o;
  o.batch = 4;
  o.width = 0.25;
  o.height = 64;
  o.classes = 10;
  o.norm = "frozen";
  return build_model("mobilenet_v2", o);
}

bool is_bias(const std::string& name) { return name.ends_with(".bias"); }

// A bit for each activated element; of everything trained, forty times that.
TEST(FrozenPlan, OfBiasesKeepsBits) {
  for (const std::string& backend : backend_names()) {
    const Taken biases = taken_by(mobile_net(), backend, is_bias);
    const Taken all = taken_by(mobile_net(), backend, [](const std::string&) { return true; });
    EXPECT_EQ(biases.maps, std::vector<std::string>{}) << backend;
    EXPECT_GT(all.maps.size(), 80u) << backend;
    EXPECT_LT(biases.saved_bytes * 40, all.saved_bytes) << backend;
    EXPECT_LT(biases.arena_bytes * 2, all.arena_bytes) << backend;
  }
}

// The same arena but for the head's gradient.
TEST(FrozenPlan, OfTheHeadKeepsNothing) {
  const auto head = [](const std::string& name) { return name.starts_with("fc."); };
  const auto nothing = [](const std::string& name) { return name == "fc.bias"; };
  for (const std::string& backend : backend_names()) {
    const Taken taken = taken_by(mobile_net(), backend, head);
    EXPECT_EQ(taken.maps, std::vector<std::string>{}) << backend;
    EXPECT_EQ(taken.arena_bytes, taken_by(mobile_net(), backend, nothing).arena_bytes) << backend;
  }
}

// Of what goes into the expanding convolutions, the chosen channels; and bits.
TEST(FrozenPlan, OfSomeChannelsKeepsThose) {
  const auto saved = [](const std::string& backend, const std::string& rules) {
    const Graph forward = with_trained(mobile_net(), rules);
    const auto all = [](const std::string&) { return true; };
    return taken_by(forward, backend, all);
  };
  const std::string expansions = "*expand.conv.weight";
  for (const std::string& backend : backend_names()) {
    const int64_t bits = saved(backend, "*expand.norm.bias").saved_bytes;
    const Taken whole = saved(backend, expansions);
    const Taken quarter = saved(backend, expansions + "[1/4]");
    EXPECT_EQ(quarter.maps.size(), whole.maps.size());
    for (const std::string& name : quarter.maps) EXPECT_TRUE(name.ends_with(".kept")) << name;
    // Channels are multiples of 8.
    if (backend == "portable") {
      EXPECT_EQ(4 * (quarter.saved_bytes - bits), whole.saved_bytes - bits);
    }
    EXPECT_LT(3 * (quarter.saved_bytes - bits), whole.saved_bytes - bits) << backend;
    EXPECT_LT(quarter.arena_bytes, whole.arena_bytes) << backend;
  }
}

// No weight is frozen, and none reads all that an activation made.
TEST(FrozenPlan, OfSomeChannelsOfEveryWeightKeepsBitsOfActivations) {
  const auto saved = [](const std::string& rules) {
    ModelOptions o;
    o.batch = 2;
    const Graph forward = with_trained(build_model("lenet", o), rules);
    return taken_by(forward, "portable", [](const std::string&) { return true; }).saved_bytes;
  };
  EXPECT_LT(2 * saved("all[1/4]"), saved("all"));
}

TEST(FrozenPlan, OfASideNetworkKeepsNoMapsOfTheBackbone) {
  const Network backbone = mobilenet_v2_network(0.35, {3, 64, 64});
  ModelOptions o;
  o.batch = 4;
  o.channels = 3;
  o.height = o.width_px = 64;
  o.classes = 10;
  o.norm = "frozen";
  const auto side = [](const std::string& name) {
    return name.starts_with("side.") || name.starts_with("classifier.");
  };
  const Graph forward = graph_of(with_tiny_tl(backbone, backbone.image), o);
  for (const std::string& backend : backend_names()) {
    const Taken taken = taken_by(forward, backend, side);
    EXPECT_EQ(taken.maps, std::vector<std::string>{}) << backend;
    EXPECT_GT(taken.saved_bytes, 0) << backend;
  }
}

}  // namespace
}  // namespace thimble
