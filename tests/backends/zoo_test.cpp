#include <gtest/gtest.h>

#include "models/model.h"
#include "support/check_backends.h"
#include "support/check_net.h"

// One training step of every network of the zoo, small: each tensor of it, then the weights, the
// momentum (from zero, so it is the gradient) and the running statistics.

namespace thimble {
namespace {

// Two convolutions with a normalisation between them differ by single roundings; deep networks
// add them up.
constexpr double kTolerance = 2e-4;

Graph training_graph(const std::string& name, ModelOptions options) {
  const Graph forward = build_model(name, options);
  return add_optimizer(differentiate(forward, forward.find("loss")),
                       {"sgd", {{"momentum", 0.9}, {"weight_decay", 0.0}}});
}

void check_model(const std::string& name, double width, int64_t side, const char* norm = "batch") {
  SCOPED_TRACE(str_cat(name, " with norm ", norm));
  ModelOptions o;
  o.batch = 4;
  o.height = side;
  o.classes = 10;
  o.width = width;
  o.norm = norm;
  const Graph graph = training_graph(name, o);
  Values values = draw_inputs(graph, 1);
  for (size_t t = 0; t < values.size(); ++t) {
    if (graph.tensors[t].role == Role::optimizer) values[t].assign(values[t].size(), 0.0);
    if (graph.tensors[t].name == "lr") values[t] = {0.125};
  }
  check_backends(graph, values, kTolerance);
}

TEST(BackendZoo, LenetAgrees) { check_model("lenet", 1, 28); }
TEST(BackendZoo, Resnet18CifarAgrees) {
  for (const char* norm : {"batch", "frozen", "group"}) check_model("resnet18_cifar", 0.25, 16, norm);
}
TEST(BackendZoo, Resnet50Agrees) { check_model("resnet50", 0.25, 64); }
TEST(BackendZoo, MobilenetV1Agrees) { check_model("mobilenet_v1", 0.25, 64); }
TEST(BackendZoo, MobilenetV1PatchAgrees) { check_model("mobilenet_v1_patch", 0.5, 32); }
TEST(BackendZoo, MobilenetV2Agrees) { check_model("mobilenet_v2", 0.35, 64); }

}  // namespace
}  // namespace thimble
