#include "planner/cost_model.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <vector>

#include "base/aside_file.h"
#include "base/child_task.h"
#include "base/parallel.h"
#include "ops/core/builder.h"
#include "schedule/work.h"

namespace thimble {
namespace {

namespace fs = std::filesystem;

// The best of several runs of each step on fresh memory, summed: the noise of a shared machine only
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
  double total = 0;
  for (const Step& step : schedule.steps) {
    std::vector<float> scratch(static_cast<size_t>(step.scratch_bytes / 4 + 16));
    std::vector<void*> in, out;
    for (BufferId b : step.inputs) in.push_back(b < 0 ? nullptr : address[static_cast<size_t>(b)]);
    for (BufferId b : step.outputs) {
      out.push_back(b < 0 ? nullptr : address[static_cast<size_t>(b)]);
    }
    const auto bound = step.kernel->bind({in, out, scratch.data()});
    double best = 1e9;
    for (int r = 0; r < runs; ++r) {
      const auto begin = std::chrono::steady_clock::now();
      bound->run();
      best = std::min(
          best, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    }
    total += best;
  }
  return total;
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

// Multiplying bf16 can be so fast that moving what is multiplied decides: a pointwise convolution,
// the commonest of all, and its gradients.
double time_bf16_convolution(const std::string& name, int64_t channels, int64_t pixels, int runs) {
  const auto backend = make_backend(name);  // its format may be another
  GraphBuilder b("calibration");
  const Shape shape{8, channels, pixels, pixels};
  const TensorId x =
      b.graph().add_tensor({"x", shape, ElementType::bf16, Role::activation, {}, false});
  const Attributes attributes = {{"out_channels", channels}, {"kernel", both(1)}};
  b.layer("conv2d", "conv", {x}, attributes);
  const Node conv = b.graph().nodes[0];
  const TensorId y = conv.outputs[0];
  Attributes of_data = conv.attributes;
  of_data.set("image", both(pixels));
  append_node(b.graph(), Phase::backward, "conv2d_backward_data", "conv", {conv.inputs[1], y},
              of_data);
  const TensorId diff_weights = append_node(b.graph(), Phase::backward, "conv2d_backward_weights",
                                            "conv", {x, y}, conv.attributes)[0];
  b.graph().tensor(diff_weights).type = ElementType::f32;
  return best_seconds(*backend, b.graph(), runs);
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
  const int64_t few = slow ? 16 : 512;
  const double narrow = time_bf16_convolution(name, few, 14, slow ? 3 : 10);
  const double narrow_flops = 3 * 2.0 * 8 * static_cast<double>(few * few * 14 * 14);
  return {flops / conv, 12.0 * static_cast<double>(kElements) / add, tiny, narrow_flops / narrow};
}

std::string text_of(const Machine& machine) {
  std::ostringstream out;
  out.precision(6);
  out << machine_identity() << '\n'
      << machine.flops_per_second << ' ' << machine.bytes_per_second << ' '
      << machine.seconds_per_step << ' ' << machine.bf16_flops_per_second << '\n'
      << text_of(machine.kernels);
  return out.str();
}

// All zero for a text of another machine or thimble, or one that makes no sense.
Machine parse_machine(const std::string& text) {
  std::istringstream in(text);
  std::string identity, figures;
  if (!std::getline(in, identity) || identity != machine_identity()) return {};
  std::getline(in, figures);
  Machine m;
  const bool four =
      static_cast<bool>(std::istringstream(figures) >> m.flops_per_second >> m.bytes_per_second >>
                        m.seconds_per_step >> m.bf16_flops_per_second);
  const bool sense = four && m.flops_per_second > 0 && m.bytes_per_second > 0 &&
                     m.seconds_per_step > 0 && m.bf16_flops_per_second >= 0;
  if (!sense) return {};
  std::ostringstream rest;
  rest << in.rdbuf();
  m.kernels = parse_kernel_times(rest.str());
  return m;
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
double kernel_seconds(const Machine& machine, int64_t flops, int64_t bytes, bool narrow) {
  const double speed = narrow && machine.bf16_flops_per_second > 0 ? machine.bf16_flops_per_second
                                                                   : machine.flops_per_second;
  return machine.seconds_per_step + std::max(static_cast<double>(flops) / speed,
                                             static_cast<double>(bytes) / machine.bytes_per_second);
}

// When transfers end: the storage does one after the other, while kernels run.
class StorageClock {
 public:
  StorageClock(const Schedule& schedule, const StorageSpeed& speed)
      : schedule_(schedule), speed_(speed == StorageSpeed{} ? kUsualStorage : speed) {}

  // The time behind the step when it was `now` before it.
  double after(const Step& step, double now) {
    const auto start = [&](BufferId values, double bytes_per_second) {
      const auto bytes = static_cast<double>(schedule_.buffer(values).bytes);
      free_ = std::max(free_, now) + bytes / bytes_per_second;
      ends_[step.outputs[0]] = free_;
      return now + bytes * speed_.copy_seconds_per_byte;
    };
    switch (step.paging) {
      case Paging::none:
        return now;
      case Paging::start_write:
        return start(step.inputs[0], speed_.write_bytes_per_second);
      case Paging::start_read:
        return start(step.outputs[0], speed_.read_bytes_per_second);
      case Paging::end_write:
        return std::max(now, ends_[step.inputs[1]]);
      case Paging::end_read:
        return std::max(now, ends_[step.inputs[0]]);
    }
    return now;
  }

 private:
  const Schedule& schedule_;
  StorageSpeed speed_;
  double free_ = 0;
  std::map<BufferId, double> ends_;  // by what stands for a transfer
};

double roofline_of(const Schedule& schedule, const Step& step, const Machine& machine) {
  int64_t bytes = 0;
  bool narrow = false;
  for (const auto* buffers : {&step.inputs, &step.outputs}) {
    for (BufferId b : *buffers) {
      if (b == kNoBuffer) continue;
      bytes += schedule.buffer(b).bytes;
      narrow = narrow || schedule.buffer(b).type == ElementType::bf16;
    }
  }
  return kernel_seconds(machine, step.flops, bytes, narrow);
}

}  // namespace

std::string machine_identity() {
  return str_cat("thimble ", THIMBLE_VERSION, " on ", processor_name());
}

std::string cache_folder() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  if (cache != nullptr && *cache != '\0') return fs::path(cache) / "thimble";
  if (home != nullptr && *home != '\0') return fs::path(home) / ".cache" / "thimble";
  return "";
}

std::string machine_cache_file(const std::string& backend, int threads) {
  const std::string folder = cache_folder();
  return folder.empty() ? "" : folder + str_cat("/machine-", backend, '-', threads, ".txt");
}

Machine known_machine(const std::string& cache_file) {
  std::ifstream in(cache_file);
  if (cache_file.empty() || !in) return {};
  std::ostringstream text;
  text << in.rdbuf();
  return parse_machine(text.str());
}

void keep_machine(const std::string& cache_file, const Machine& machine) {
  std::error_code ignored;
  fs::create_directories(fs::path(cache_file).parent_path(), ignored);
  const std::string text = text_of(machine);
  AsideFile file(cache_file);
  file.write(text.data(), std::ssize(text));
  file.commit();
}

Machine measure_machine(const std::string& backend, int threads, const std::string& cache_file) {
  Machine machine = known_machine(cache_file);
  if (machine != Machine{}) return machine;
  try {
    ChildTask child([&] {
      set_thread_count(threads);
      return text_of(measure(backend));
    });
    machine = parse_machine(child.result());
    if (machine != Machine{} && !cache_file.empty()) keep_machine(cache_file, machine);
  } catch (const std::exception&) {
    // Best effort: what cannot be measured or kept costs a fraction of a second next time.
  }
  return machine;
}

KernelTimes kernel_times(const Schedule& schedule, const std::vector<double>& seconds,
                         const Machine& machine) {
  struct Sum {
    KernelTime time;
    int count = 0;
  };
  std::map<uint64_t, Sum> sums;
  for (size_t s = 0; s < schedule.steps.size(); ++s) {
    const Step& step = schedule.steps[s];
    if (step.paging != Paging::none)
      continue;  // what was waited for is of the plan, not of a kernel
    Sum& sum = sums[step.work];
    const double roofline = roofline_of(schedule, step, machine);
    if (sum.count++ == 0) sum.time = {step.op, step.work, 0, 0};
    sum.time.seconds += seconds[s];
    sum.time.roofline += roofline;
  }
  std::vector<KernelTime> all;
  for (auto& [work, sum] : sums) {
    sum.time.seconds /= sum.count;
    sum.time.roofline /= sum.count;
    all.push_back(sum.time);
  }
  return KernelTimes(std::move(all));
}

double predict_seconds(const Graph& graph, const Node& node, const Machine& machine) {
  if (machine == Machine{}) return 0;
  int64_t bytes = 0;
  bool narrow = false;
  for (const auto* tensors : {&node.inputs, &node.outputs, &node.updates}) {
    for (TensorId t : *tensors) {
      if (t == kNoTensor) continue;
      narrow = narrow || graph.tensor(t).type == ElementType::bf16;
      bytes += graph.tensor(t).shape.elements() * element_bytes(graph.tensor(t).type);
    }
  }
  const double roofline = kernel_seconds(machine, flops_of(graph, node), bytes, narrow);
  if (machine.kernels.empty()) return roofline;
  return machine.kernels.seconds(node.op, work_of(graph, node), roofline);
}

double predict_seconds(const Schedule& schedule, const Step& step, const Machine& machine) {
  if (machine == Machine{}) return 0;
  const double roofline = roofline_of(schedule, step, machine);
  const int64_t runs = runs_once(step.phase) ? 1 : schedule.microbatches;
  return static_cast<double>(runs) * machine.kernels.seconds(step.op, step.work, roofline);
}

double predict_seconds(const Schedule& schedule, const Machine& machine) {
  if (machine == Machine{}) return 0;
  double once = 0, each = 0;  // of each microbatch
  StorageClock storage(schedule, machine.storage);
  for (const Step& step : schedule.steps) {
    if (step.paging != Paging::none) {
      each = storage.after(step, each);
      continue;
    }
    const double roofline = roofline_of(schedule, step, machine);
    (runs_once(step.phase) ? once : each) += machine.kernels.seconds(step.op, step.work, roofline);
  }
  return once + static_cast<double>(schedule.microbatches) * each;
}

}  // namespace thimble
