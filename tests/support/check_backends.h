#pragma once

#include <functional>
#include <string>
#include <vector>

#include "support/interpreter.h"

namespace thimble {

// One way to run a graph in f32.
struct Runner {
  std::string name;
  // The values of all tensors after one step from `values`; empty where a backend keeps its own
  // notes in a tensor (pooling indices).
  std::function<Values(const Graph& graph, const Values& values)> run;
};

// The portable kernels without a schedule, then every backend as it really runs: scheduled,
// planned, checked and executed in one poisoned arena, on one thread and on three, with the graph's
// data in place and with data that an earlier step made (so that steps may run in place).
std::vector<Runner> runners();

// Every runner must give the numbers of the portable kernels in double: each f32 tensor within
// `tolerance` of its largest element, integers exactly.
void check_backends(const Graph& graph, const Values& values, double tolerance);

// Elementwise comparison as above; `what` names the tensor in the failure.
void expect_near(const std::vector<double>& got, const std::vector<double>& expected,
                 double tolerance, const std::string& what);

}  // namespace thimble
