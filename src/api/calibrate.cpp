#include <algorithm>
#include <chrono>
#include <sstream>

#include "base/bytes.h"
#include "base/child_task.h"
#include "base/page_file.h"
#include "runtime/arena.h"
#include "runtime/executor.h"
#include "runtime/setup.h"
#include "runtime/weights.h"

namespace thimble {
namespace {

constexpr int kRuns = 7;
constexpr double kMostSeconds = 12;  // all runs together; at least two are made

void draw_images(float* images, int64_t elements) {
  for (int64_t i = 0; i < elements; ++i) {
    images[i] = static_cast<float>((i * 2654435761) % 2001 - 1000) / 1000;
  }
}

// Of a whole step, which runs most steps of the program once for each microbatch.
double total_seconds(const Schedule& schedule, const std::vector<double>& seconds) {
  double total = 0;
  for (size_t s = 0; s < seconds.size(); ++s) {
    const bool once = runs_once(schedule.steps[s].phase);
    total += seconds[s] * static_cast<double>(once ? 1 : schedule.microbatches);
  }
  return total;
}

double median_of(std::vector<double> values) {
  const auto middle = values.begin() + std::ssize(values) / 2;
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// The median of each step's seconds over a few runs of the program, and all of them together as
// long as the median run: what disturbs a run disturbs few of its steps, and no step's median.
std::vector<double> time_steps(const Plan& plan, const std::string& offload_folder) {
  using Clock = std::chrono::steady_clock;
  const Schedule& schedule = plan.train.schedule;
  const Arena arena(plan.arena_bytes);
  PageFile pages(offload_folder);
  Executor executor(schedule, plan.train.memory, arena.data(), {}, &pages);
  if (plan.paged_bytes > 0) pages.open();
  WeightStore weights(schedule, plan.train.memory, arena.data(), plan.arena_bytes, &pages);
  weights.initialise(0);
  const BufferId images = schedule.find("images");
  if (images != kNoBuffer) {  // a step that reads features takes what is there
    draw_images(static_cast<float*>(executor.address(images)),
                schedule.buffer(images).shape.elements());
  }
  std::vector<std::vector<double>> runs;
  executor.run();
  const auto begin = Clock::now();
  for (int r = 0; r < kRuns; ++r) {
    const double spent = std::chrono::duration<double>(Clock::now() - begin).count();
    if (r >= 2 && spent > kMostSeconds) break;
    executor.run_timed(0, runs.emplace_back());
  }
  std::vector<double> medians;
  std::vector<double> one;
  for (size_t s = 0; s < schedule.steps.size(); ++s) {
    one.clear();
    for (const auto& run : runs) one.push_back(run[s]);
    medians.push_back(median_of(one));
  }
  one.clear();
  for (const auto& run : runs) one.push_back(total_seconds(schedule, run));
  const double factor = median_of(one) / total_seconds(schedule, medians);
  for (double& seconds : medians) seconds *= factor;
  return medians;
}

}  // namespace

void calibrate(const TrainOptions& options) {
  if (!options.device_file.empty()) return;
  const int threads = usual_threads(options.threads);
  const std::string backend = make_backend(options.backend)->name();
  measure_machine(backend, threads, machine_cache_file(backend, threads));
  const std::string& folder = options.offload_folder;
  if (!folder.empty() && known_storage(folder) == StorageSpeed{}) measure_storage(folder);
}

CalibrationReport calibrate_kernels(const TrainOptions& options) {
  require(options.device_file.empty(),
          "only this machine can be measured: leave out the description of another");
  const int threads = usual_threads(options.threads);
  const std::string backend = make_backend(options.backend)->name();
  CalibrationReport report;
  report.cache_file = machine_cache_file(backend, threads);
  require(!report.cache_file.empty(),
          "there is no folder to keep what is measured: set HOME or XDG_CACHE_HOME");
  const Machine measured = measure_machine(backend, threads, report.cache_file);
  require(measured != Machine{}, "this machine could not be measured; try again");
  keep_machine(report.cache_file, measured);  // says why, where it cannot
  if (!options.offload_folder.empty()) measure_storage(options.offload_folder);  // once more
  ChildTask child([&] {
    Setup setup = prepare(options, true);
    Machine plain = setup.machine;
    plain.kernels = {};
    const Plan plan = make_plan(std::move(setup.request), setup.machine);
    if (!plan.fits) {
      throw DoesNotFit(str_cat("the plan takes ", format_bytes(plan.process_bytes),
                               " and does not fit in ", format_bytes(plan.budget_bytes),
                               "; a budget of ", format_bytes(plan.smallest_budget_bytes),
                               " does"));
    }
    const Schedule& schedule = plan.train.schedule;
    const std::vector<double> seconds = time_steps(plan, options.offload_folder);
    return str_cat(total_seconds(schedule, seconds), ' ', predict_seconds(schedule, plain), '\n',
                   text_of(kernel_times(schedule, seconds, plain)));
  });
  const std::string text = child.result();
  std::istringstream(text) >> report.step_seconds >> report.predicted_before;
  const KernelTimes times = parse_kernel_times(text.substr(text.find('\n') + 1));
  report.kernels = std::ssize(times.all());
  Machine machine = known_machine(report.cache_file);
  machine.kernels = merged(times, machine.kernels);
  keep_machine(report.cache_file, machine);
  return report;
}

}  // namespace thimble
