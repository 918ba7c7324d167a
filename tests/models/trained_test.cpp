#include "models/trained.h"

#include <gtest/gtest.h>

#include <set>

#include "models/small_network.h"
#include "models/zoo.h"
#include "support/expect_error.h"

namespace thimble {
namespace {

std::set<std::string> trained(const std::string& rules,
                              const std::vector<std::string>& fresh = {}) {
  std::set<std::string> names;
  for (const Tensor& t :
       with_trained(graph_of(small_network(5), small_options(5)), rules, fresh).tensors) {
    if (t.trainable) names.insert(t.name);
  }
  return names;
}

using Names = std::set<std::string>;

TEST(Trained, RulesNameTensors) {
  EXPECT_EQ(trained("head"), (Names{"fc.weight", "fc.bias"}));
  EXPECT_EQ(trained("last:2"), (Names{"fc.weight", "fc.bias", "project.weight",
                                      "project_norm.weight", "project_norm.bias"}));
  EXPECT_EQ(trained("bias"),
            (Names{"fc.bias", "stem_norm.bias", "deep_norm.bias", "project_norm.bias"}));
  EXPECT_EQ(trained("norm,!*.bias"),
            (Names{"stem_norm.weight", "deep_norm.weight", "project_norm.weight"}));
  EXPECT_EQ(trained("deep*, !deep?weight"), (Names{"deep_norm.weight", "deep_norm.bias"}));
  EXPECT_EQ(trained("all").size(), 11u);
}

TEST(Trained, WhatBeginsAnewAlwaysIs) {
  EXPECT_EQ(trained("stem.weight", {"fc.weight"}), (Names{"stem.weight", "fc.weight"}));
}

TEST(Trained, ANormWhoseScaleIsFrozenKeepsItsStatistics) {
  const Graph graph =
      with_trained(graph_of(small_network(5), small_options(5)), "last:2,deep_norm.bias");
  verify(graph);
  for (const Node& node : graph.nodes) {
    if (node.op != "batch_norm") continue;
    const bool of_batch = node.name == "project_norm";
    EXPECT_EQ(node.attributes.integer("training"), of_batch) << node.name;
    EXPECT_EQ(node.updates.size(), of_batch ? 2u : 0u) << node.name;
  }
}

TEST(Trained, HoldsForTheZoo) {
  const Graph graph = with_trained(build_model("mobilenet_v2", {.batch = 1}), "head");
  EXPECT_EQ(trainable_parameters(graph), 1281 * 1000);
}

TEST(Trained, SaysWhichRuleNamesNothing) {
  expect_user_error([] { trained("head,stom*"); },
                    "train: 'stom*' names no weight; rules are all, head, last:K, bias, norm, side "
                    "and patterns of names, such as stem.weight, ");
  expect_user_error([] { trained("side"); }, "train: 'side' names no weight");
  expect_user_error([] { trained("last:5"); },
                    "train: 'last:5', needed last: and a number from 1 to 4");
  expect_user_error([] { trained("last:x"); }, "needed last: and a number");
  expect_user_error([] { trained("all,!all"); }, "leaves nothing to train");
}

}  // namespace
}  // namespace thimble
