#pragma once

#include <string>

#include "planner/kernel_times.h"
#include "planner/storage_speed.h"
#include "schedule/schedule.h"

namespace thimble {

// What this machine does with one backend and thread count, measured once.
struct Machine {
  double flops_per_second = 0;  // of a dense convolution
  double bytes_per_second = 0;  // of memory, read and written
  double seconds_per_step = 0;  // to start one kernel
  // Of a pointwise convolution of bf16 activations and its gradients; 0: as of any other.
  double bf16_flops_per_second = 0;
  // Of the device that pages are written to and read from; 0: not measured, taken for a usual one.
  StorageSpeed storage = {};
  KernelTimes kernels = {};  // better than the figures, for the work that was measured
  friend bool operator==(const Machine&, const Machine&) = default;
};

// The first line of a cache file: the thimble and the processor that were measured. Home folders
// move to other machines, and kernels become faster.
std::string machine_identity();
// What `cache_file` holds; all zero when it does not exist, is of another machine or thimble, or
// makes no sense.
Machine known_machine(const std::string& cache_file);
// The same, but measures when that is all zero, in a child process (its memory is not ours),
// and keeps the result there. All zero when measuring failed. Must run before the first parallel
// loop of the process: a child does not inherit threads.
Machine measure_machine(const std::string& backend, int threads, const std::string& cache_file);
// Step s of the schedule took `seconds[s]`, run once; steps of the same work are averaged. Of the
// machine only its few figures are read.
KernelTimes kernel_times(const Schedule& schedule, const std::vector<double>& seconds,
                         const Machine& machine);
// Writes `cache_file`, and the folder it is in. UserError when it cannot.
void keep_machine(const std::string& cache_file, const Machine& machine);
// `<user's cache folder>/thimble/machine-<backend>-<threads>.txt`; empty when there is no such
// folder.
std::string machine_cache_file(const std::string& backend, int threads);

// The folder of all that is measured; empty when the user has none.
std::string cache_folder();

// Kernels that were measured take what they took; the others are on the roofline: the longer of
// their arithmetic and their memory traffic. Paging takes only what computing waits for it. 0 (not
// known) for a machine that was not measured.
double predict_seconds(const Schedule& schedule, const Machine& machine);
// Of these, one step, all its runs.
double predict_seconds(const Schedule& schedule, const Step& step, const Machine& machine);
// The same for one node of a graph, before its kernel is known.
double predict_seconds(const Graph& graph, const Node& node, const Machine& machine);

}  // namespace thimble
