#include "graph/graph.h"

#include <gtest/gtest.h>

#include "support/expect_error.h"

namespace thimble {
namespace {

enum : TensorId { kImages, kWeight, kHidden, kDst };

// images and weight -> hidden -> dst, then an update of weight.
Graph small_graph() {
  Graph g;
  g.name = "small";
  g.add_tensor({"images", {2, 3}, ElementType::f32, Role::data, {}, false});
  g.add_tensor({"weight", {4, 3}, ElementType::f32, Role::weight, {}, true});
  g.add_tensor({"hidden", {2, 4}, ElementType::f32, Role::activation, {}, false});
  g.add_tensor({"dst", {2, 4}, ElementType::u8, Role::difference, {}, false});
  g.nodes.push_back({"linear",
                     "first",
                     {kImages, kWeight, kNoTensor},
                     {kHidden},
                     {},
                     {{"bias", int64_t{0}}, {"padding", std::vector<int64_t>{1, 2}}},
                     Phase::forward});
  g.nodes.push_back({"relu", "second", {kHidden}, {kDst, kNoTensor}, {}, {}, Phase::backward});
  g.nodes.push_back(
      {"sgd", "weight", {kWeight, kDst}, {}, {kWeight}, {{"lr", 0.5}}, Phase::update});
  return g;
}

TEST(Graph, PrintsOneLineForEachTensorAndNode) {
  EXPECT_EQ(str_cat(small_graph()),
            "graph small\n"
            "  data images f32 (2, 3)\n"
            "  weight weight f32 (4, 3)\n"
            "  activation hidden f32 (2, 4)\n"
            "  difference dst u8 (2, 4)\n"
            "  forward: linear first [bias=0 padding=[1,2]] (images, weight, -) -> (hidden)\n"
            "  backward: relu second [] (hidden) -> (dst, -)\n"
            "  update: sgd weight [lr=0.5] (weight, dst) -> () updates (weight)\n");
}

TEST(Graph, IsComparedByValue) {
  Graph g = small_graph();
  EXPECT_EQ(g, small_graph());
  g.nodes[0].attributes.set("bias", int64_t{1});
  EXPECT_NE(g, small_graph());
}

TEST(Graph, MakesNamesUniqueByASuffix) {
  Graph g;
  EXPECT_EQ(g.add_tensor({"x", {1}, ElementType::f32, Role::activation, {}, false}), 0);
  EXPECT_EQ(g.add_tensor({"x", {1}, ElementType::f32, Role::activation, {}, false}), 1);
  EXPECT_EQ(g.add_tensor({"x", {1}, ElementType::f32, Role::activation, {}, false}), 2);
  EXPECT_EQ(g.find("x#2"), 1);
  EXPECT_EQ(g.find("x#3"), 2);
  EXPECT_EQ(g.find("y"), kNoTensor);
}

TEST(Graph, KeepsAllButActivationsAndGradients) {
  for (Role role : {Role::data, Role::weight, Role::statistic, Role::optimizer, Role::metric}) {
    EXPECT_TRUE(is_persistent(role)) << name_of(role);
  }
  for (Role role : {Role::activation, Role::gradient, Role::difference}) {
    EXPECT_FALSE(is_persistent(role)) << name_of(role);
  }
}

TEST(Verify, AcceptsASoundGraph) { EXPECT_NO_THROW(verify(small_graph())); }

// The small graph, damaged, must be refused with these words.
template <class Damage>
void refuses(const Damage& damage, const std::string& words) {
  Graph g = small_graph();
  damage(g);
  expect_internal_error([&] { verify(g); }, words);
}

TEST(Verify, RefusesTwoTensorsOfOneName) {
  refuses([](Graph& g) { g.tensors[kHidden].name = "images"; }, "two tensors are called images");
}

TEST(Verify, RefusesIdsOutOfRange) {
  refuses([](Graph& g) { g.nodes[1].inputs[0] = 4; }, "node second reads tensor 4 of 4");
  refuses([](Graph& g) { g.nodes[1].inputs[0] = -2; }, "node second reads tensor -2 of 4");
  refuses([](Graph& g) { g.nodes[1].outputs[1] = 7; }, "node second makes tensor 7 of 4");
  refuses([](Graph& g) { g.nodes[1].outputs[1] = -2; }, "node second makes tensor -2 of 4");
  refuses([](Graph& g) { g.nodes[2].updates[0] = 4; }, "node weight updates tensor 4 of 4");
  refuses([](Graph& g) { g.nodes[2].updates[0] = kNoTensor; },
          "node weight updates tensor -1 of 4");
}

TEST(Verify, RefusesReadingBeforeMaking) {
  refuses([](Graph& g) { std::swap(g.nodes[0], g.nodes[1]); },
          "relu second reads hidden before it is made");
  refuses([](Graph& g) { g.nodes[0].inputs[0] = kHidden; },
          "linear first reads hidden before it is made");
}

TEST(Verify, RefusesMakingATensorTwice) {
  refuses([](Graph& g) { g.nodes[1].outputs[1] = kHidden; }, "hidden is made twice");
  refuses([](Graph& g) { g.nodes[1].outputs[1] = kDst; }, "dst is made twice");
}

TEST(Verify, RefusesMakingWhatLivesFromStepToStep) {
  refuses([](Graph& g) { g.nodes[1].outputs[1] = kWeight; }, "weight is made twice");
}

TEST(Verify, AllowsMakingAMetric) {
  Graph g = small_graph();
  g.tensors[kDst].role = Role::metric;
  EXPECT_NO_THROW(verify(g));
}

TEST(Verify, RefusesUpdatesOfTransientTensors) {
  refuses([](Graph& g) { g.nodes[2].updates.push_back(kHidden); },
          "weight updates the transient tensor hidden");
}

TEST(Verify, RefusesReadingAfterTheUpdate) {
  refuses(
      [](Graph& g) {
        g.nodes.push_back(g.nodes[0]);
        g.nodes.back().outputs = {};
      },
      "linear first reads weight after its update");
}

}  // namespace
}  // namespace thimble
