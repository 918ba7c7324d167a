#include "planner/cost_model.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <vector>

#include "base/parallel.h"
#include "ops/core/builder.h"

namespace thimble {
namespace {

namespace fs = std::filesystem;

// The best of several runs of one forward node on fresh memory: the noise of a shared machine only
// ever adds time.
double best_seconds(Backend& backend, const Graph& graph, int runs) {
  std::vector<NamedLayout> layouts;
  const Schedule schedule = make_schedule(graph, backend, layouts);
  std::vector<std::vector<float>> memory;
  std::vector<void*> address;
  for (const Buffer& b : schedule.buffers) {
    memory.emplace_back(static_cast<size_t>(b.bytes / 4 + 16), 0.0f);
    address.push_back(memory.back().data());
  }
  const Step& step = schedule.steps.back();
  std::vector<float> scratch(static_cast<size_t>(step.scratch_bytes / 4 + 16));
  std::vector<void*> in, out;
  for (BufferId b : step.inputs) in.push_back(b < 0 ? nullptr : address[static_cast<size_t>(b)]);
  for (BufferId b : step.outputs) out.push_back(b < 0 ? nullptr : address[static_cast<size_t>(b)]);
  const auto bound = step.kernel->bind({in, out, scratch.data()});
  double best = 1e9;
  for (int r = 0; r < runs; ++r) {
    const auto begin = std::chrono::steady_clock::now();
    bound->run();
    best = std::min(
        best, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  return best;
}

double time_convolution(Backend& backend, int64_t channels, int64_t pixels, int runs) {
  GraphBuilder b("calibration");
  const TensorId x = b.graph().add_tensor(
      {"x", {4, channels, pixels, pixels}, ElementType::f32, Role::weight, {}, false});
  b.layer("conv2d", "conv", {x},
          {{"out_channels", channels},
           {"kernel", both(3)},
           {"padding", std::vector<int64_t>{1, 1, 1, 1}}});
  return best_seconds(backend, b.graph(), runs);
}

double time_addition(Backend& backend, int64_t elements, int runs) {
  Graph graph;
  graph.name = "calibration";
  const TensorId a = graph.add_tensor({"a", {elements}, ElementType::f32, Role::weight, {}, false});
  const TensorId b = graph.add_tensor({"b", {elements}, ElementType::f32, Role::weight, {}, false});
  append_node(graph, Phase::forward, "add", "add", {a, b});
  return best_seconds(backend, graph, runs);
}

Machine measure(const std::string& name) {
  const auto backend = make_backend(name);
  const bool slow = backend->name() == "portable";
  const int64_t channels = slow ? 16 : 128;
  const int64_t pixels = 28;
  const double conv = time_convolution(*backend, channels, pixels, slow ? 3 : 20);
  constexpr int64_t kElements = 2 << 20;  // three tensors of 8 MiB
  const double add = time_addition(*backend, kElements, 8);
  const double tiny = time_addition(*backend, 64, 100);
  const double flops = 2.0 * 4 * 9 * static_cast<double>(channels * channels * pixels * pixels);
  return {flops / conv, 12.0 * static_cast<double>(kElements) / add, tiny};
}

bool read_machine(const std::string& file, Machine& machine) {
  std::ifstream in(file);
  std::string identity;
  return std::getline(in, identity) && identity == machine_identity() &&
         static_cast<bool>(in >> machine.flops_per_second >> machine.bytes_per_second >>
                           machine.seconds_per_step) &&
         machine.flops_per_second > 0 && machine.bytes_per_second > 0 &&
         machine.seconds_per_step >= 0;
}

// Best effort: a cache that cannot be written costs a fraction of a second next time.
void write_machine(const std::string& file, const Machine& machine) {
  std::error_code ignored;
  fs::create_directories(fs::path(file).parent_path(), ignored);
  const std::string aside = str_cat(file, ".", getpid());
  {
    std::ofstream out(aside);
    out.precision(6);
    out << machine_identity() << '\n'
        << machine.flops_per_second << ' ' << machine.bytes_per_second << ' '
        << machine.seconds_per_step << '\n';
    if (!out) return;
  }
  fs::rename(aside, file, ignored);
}

// As Linux says it; "unknown processor" where it does not.
std::string processor_name() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);) {
    const size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != line.npos) return line.substr(colon + 2);
  }
  return "unknown processor";
}

// The roofline: a kernel takes the longer of its arithmetic and its memory traffic.
double kernel_seconds(const Machine& machine, int64_t flops, int64_t bytes) {
  return machine.seconds_per_step + std::max(static_cast<double>(flops) / machine.flops_per_second,
                                             static_cast<double>(bytes) / machine.bytes_per_second);
}

}  // namespace

std::string machine_identity() {
  return str_cat("thimble ", THIMBLE_VERSION, " on ", processor_name());
}

std::string machine_cache_file(const std::string& backend, int threads) {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  fs::path folder;
  if (cache != nullptr && *cache != '\0') {
    folder = cache;
  } else if (home != nullptr && *home != '\0') {
    folder = fs::path(home) / ".cache";
  } else {
    return "";
  }
  return folder / "thimble" / str_cat("machine-", backend, '-', threads, ".txt");
}

Machine known_machine(const std::string& cache_file) {
  Machine machine;
  return !cache_file.empty() && read_machine(cache_file, machine) ? machine : Machine{};
}

Machine measure_machine(const std::string& backend, int threads, const std::string& cache_file) {
  Machine machine = known_machine(cache_file);
  int ends[2];
  if (machine != Machine{} || pipe(ends) != 0) return machine;
  const pid_t child = fork();
  if (child == 0) {
    close(ends[0]);
    try {
      set_thread_count(threads);
      const Machine measured = measure(backend);
      if (write(ends[1], &measured, sizeof measured) == sizeof measured) _exit(0);
    } catch (const std::exception&) {
    }
    _exit(1);
  }
  close(ends[1]);
  if (child > 0 && read(ends[0], &machine, sizeof machine) != sizeof machine) machine = {};
  close(ends[0]);
  if (child > 0) waitpid(child, nullptr, 0);
  if (machine != Machine{} && !cache_file.empty()) write_machine(cache_file, machine);
  return machine;
}

double predict_seconds(const Graph& graph, const Node& node, const Machine& machine) {
  if (machine == Machine{}) return 0;
  int64_t bytes = 0;
  for (const auto* tensors : {&node.inputs, &node.outputs, &node.updates}) {
    for (TensorId t : *tensors) {
      if (t == kNoTensor) continue;
      bytes += graph.tensor(t).shape.elements() * element_bytes(graph.tensor(t).type);
    }
  }
  return kernel_seconds(machine, flops_of(graph, node), bytes);
}

double predict_seconds(const Schedule& schedule, const Machine& machine) {
  if (machine == Machine{}) return 0;
  double seconds = 0;
  for (const Step& step : schedule.steps) {
    int64_t bytes = 0;
    for (BufferId b : step.inputs) bytes += b < 0 ? 0 : schedule.buffer(b).bytes;
    for (BufferId b : step.outputs) bytes += b < 0 ? 0 : schedule.buffer(b).bytes;
    const int64_t runs = runs_once(step.phase) ? 1 : schedule.microbatches;
    seconds += static_cast<double>(runs) * kernel_seconds(machine, step.flops, bytes);
  }
  return seconds;
}

}  // namespace thimble
