#pragma once

#include <functional>
#include <string>
#include <vector>

#include "support/interpreter.h"

namespace thimble {

// One way to run a graph in f32.
struct Runner {
  std::string name;
  // The values of all tensors after one step from `values`.
  std::function<Values(const Graph& graph, const Values& values)> run;
};

// The portable kernels on one thread come first: the others are compared with them.
std::vector<Runner> runners();

// Every runner must give the numbers of the first one: each f32 tensor within `tolerance` of its
// largest element, integers exactly.
void check_backends(const Graph& graph, const Values& values, double tolerance);

// Elementwise comparison as above; `what` names the tensor in the failure.
void expect_near(const std::vector<double>& got, const std::vector<double>& expected,
                 double tolerance, const std::string& what);

}  // namespace thimble
