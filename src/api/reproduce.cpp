#include <algorithm>
#include <sstream>

#include "base/child_task.h"
#include "base/error.h"
#include "base/names.h"
#include "runtime/run_folder.h"
#include "runtime/stack.h"

namespace thimble {
namespace {

// What a child found, as one text.
struct Found {
  StackStep step;
  std::string pack() const {
    const PlanReport& p = step.plan;
    std::ostringstream out;
    out.precision(17);
    out << p.fits << ' ' << p.budget_bytes << ' ' << p.process_bytes << ' ' << p.fixed_bytes << ' '
        << p.arena_bytes << ' ' << p.smallest_budget_bytes << ' ' << p.parameters << ' '
        << p.active_parameters << ' ' << p.predicted_step_seconds << ' ' << step.peak_rss_bytes
        << ' ' << step.seconds_per_image << ' ' << step.accuracy << ' ' << p.promise;
    for (int64_t bytes : p.by_category) out << ' ' << bytes;
    for (const std::string& t : p.techniques) out << '\n' << t;
    return out.str();
  }
  void unpack(const std::string& text) {
    PlanReport& p = step.plan;
    std::istringstream in(text);
    in >> p.fits >> p.budget_bytes >> p.process_bytes >> p.fixed_bytes >> p.arena_bytes >>
        p.smallest_budget_bytes >> p.parameters >> p.active_parameters >>
        p.predicted_step_seconds >> step.peak_rss_bytes >> step.seconds_per_image >>
        step.accuracy >> p.promise;
    for (int64_t& bytes : p.by_category) in >> bytes;
    ensure(static_cast<bool>(in), "a child sent no figures: ", text);
    std::string line;
    std::getline(in, line);
    while (std::getline(in, line)) p.techniques.push_back(line);
  }
};

// Runs in a child: the process that is measured.
std::string measured(TrainOptions options, int64_t steps) {
  calibrate(options);
  int64_t done = 0;
  const TrainReport report = train(
      options, [&](const Progress& p) { done += !p.epoch_done; }, [&] { return done >= steps; });
  Found found;
  found.step.plan = report.plan;
  if (report.plan.fits) {
    found.step.peak_rss_bytes = report.peak_rss_bytes;
    found.step.seconds_per_image =
        report.step_seconds_median / static_cast<double>(options.model.batch);
  }
  return found.pack();
}

std::string trained(TrainOptions options) {
  options.resume = RunFolder(options.run_folder).has_checkpoint();
  calibrate(options);
  const TrainReport report = train(options);
  Found found;
  found.step.plan = report.plan;
  if (report.trained) found.step.accuracy = report.accuracy;
  return found.pack();
}

// The configurations that were asked for.
std::vector<StackEntry> chosen(const StackRequest& request) {
  std::vector<StackEntry> entries = read_stack(request.stack, request.quick);
  std::vector<std::string> names;
  for (const StackEntry& e : entries) names.push_back(e.step.name);
  for (const std::string& name : request.only) {
    require(std::find(names.begin(), names.end(), name) != names.end(), request.stack,
            " has no configuration '", name, "'", did_you_mean(name, names), "; there are ",
            joined(names));
  }
  std::erase_if(entries, [&](const StackEntry& e) {
    const auto& only = request.only;
    return !only.empty() && std::find(only.begin(), only.end(), e.step.name) == only.end();
  });
  for (StackEntry& e : entries) {
    for (TrainOptions* o : {&e.step.options, &e.training}) {
      o->data.path = request.data;
      o->threads = request.threads;
    }
    e.training.run_folder = request.run_folder + "/" + e.step.name;
  }
  return entries;
}

void run(const StackRequest& request, const TrainOptions& training, StackStep& step) {
  Found found{step};
  const TrainOptions options = step.options;
  found.unpack(ChildTask([&] { return measured(options, request.steps); }).result());
  step = found.step;
  if (!step.plan.fits) {
    step.problem = "does not fit its budget: the smallest is " +
                   std::to_string(step.plan.smallest_budget_bytes) + " bytes";
  }
  if (!request.accuracy || !step.problem.empty()) return;
  Found end;
  end.unpack(ChildTask([&] { return trained(training); }).result());
  step.accuracy = end.step.accuracy;
  if (!end.step.plan.fits) step.problem = "its training does not fit its budget";
}

}  // namespace

std::vector<StackStep> reproduce(const StackRequest& request,
                                 const std::function<void(const StackStep&)>& on_step) {
  require(!request.data.empty(), "a stack trains: it needs data, a folder or a name");
  require(request.steps >= 1, "steps is ", request.steps, ", needs at least 1");
  std::vector<StackStep> steps;
  // All files are read first: a mistake in the last should not come after hours.
  for (const StackEntry& entry : chosen(request)) {
    steps.push_back(entry.step);
    try {
      run(request, entry.training, steps.back());
    } catch (const UserError& e) {
      steps.back().problem = e.what();
    } catch (const ChildKilled& e) {
      steps.back().problem = e.what();
    }
    if (on_step) on_step(steps.back());
  }
  return steps;
}

}  // namespace thimble
