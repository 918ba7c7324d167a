#include "transforms/remake_weights.h"

#include <gtest/gtest.h>

#include "ops/core/builder.h"
#include "transforms/fixtures.h"

namespace thimble {
namespace {

using transforms_test::small_net;
using transforms_test::trained_state;
using transforms_test::training_graph;

// Two convolutions by standardised weights.
Graph standardised_net() {
  GraphBuilder b("standardised");
  TensorId x = b.images({2, 3, 8, 8});
  for (const char* name : {"a", "b"}) {
    const int64_t in = b.shape(x)[1];
    const TensorId weight = b.graph().add_tensor({str_cat(name, ".weight"),
                                                  {16, in, 3, 3},
                                                  ElementType::f32,
                                                  Role::weight,
                                                  {Init::Kind::normal, 0.2},
                                                  true});
    const TensorId standard = b.layer("standardize_weights", str_cat(name, ".standard"), {weight});
    x = b.layer(
        "conv2d", name, {x, standard},
        {{"out_channels", int64_t{16}}, {"kernel", both(3)}, {"padding", ints({1, 1, 1, 1})}});
    x = b.layer("relu", str_cat(name, ".act"), {x});
  }
  x = b.layer("flatten", "flat", {b.layer("global_average_pool", "pool", {x})});
  b.classify(b.layer("linear", "fc", {x}, {{"out_features", int64_t{10}}}));
  return b.graph();
}

TEST(RemakeWeights, MakesThemAgainJustBeforeTheyAreRead) {
  const Graph graph = remake_weights(training_graph(standardised_net()));
  std::vector<std::string> made;
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    const Node& node = graph.nodes[n];
    if (node.op != "standardize_weights") continue;
    made.push_back(str_cat(name_of(node.phase), ' ', node.name));
    const bool again = node.phase == Phase::backward;
    EXPECT_TRUE(!again || graph.nodes[n + 1].op == "conv2d_backward_data");
  }
  // The gradient of the images is nobody's: of "a" nothing is read.
  EXPECT_EQ(made, (std::vector<std::string>{"forward a.standard", "forward b.standard",
                                            "backward b.standard"}));
}

TEST(RemakeWeights, GivesTheSameBits) {
  const Graph plain = training_graph(standardised_net());
  const Graph again = remake_weights(plain);
  for (const std::string& backend : backend_names()) {
    EXPECT_TRUE(trained_state(plain, plain, backend) == trained_state(again, plain, backend))
        << backend;
  }
}

TEST(RemakeWeights, ChangesNothingWithoutSuchWeights) {
  const Graph plain = training_graph(small_net("resnet18_cifar", 2));
  EXPECT_EQ(remake_weights(plain), plain);
}

}  // namespace
}  // namespace thimble
