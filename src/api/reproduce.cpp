#include <algorithm>
#include <sstream>

#include "base/bytes.h"
#include "base/child_task.h"
#include "base/error.h"
#include "base/names.h"
#include "data/registry.h"
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
    found.step.seconds_per_image = 1 / report.samples_per_second;
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
  found.step.peak_rss_bytes = report.peak_rss_bytes;
  return found.pack();
}

void require_fit(const PlanReport& plan) {
  if (plan.fits) return;
  throw DoesNotFit(str_cat("takes ", format_bytes(plan.process_bytes), " and its budget is ",
                           format_bytes(plan.budget_bytes), "; the smallest is ",
                           format_bytes(plan.smallest_budget_bytes)));
}

// The configurations that were asked for.
std::vector<StackStep> chosen(const StackRequest& request) {
  std::vector<StackStep> steps = read_stack(request.stack, request.quick);
  std::vector<std::string> names;
  for (const StackStep& s : steps) names.push_back(s.name);
  for (const std::string& name : request.only) {
    require(std::find(names.begin(), names.end(), name) != names.end(), request.stack,
            " has no configuration '", name, "'", did_you_mean(name, names), "; there are ",
            joined(names));
  }
  std::erase_if(steps, [&](const StackStep& s) {
    const auto& only = request.only;
    return !only.empty() && std::find(only.begin(), only.end(), s.name) == only.end();
  });
  const std::string folder = request.run_folder.empty() ? str_cat("runs/", last_part(request.stack),
                                                                  request.quick ? "-quick" : "")
                                                        : request.run_folder;
  for (StackStep& s : steps) {
    for (TrainOptions* o : {&s.options, &s.training}) {
      o->data.path = request.data;
      o->threads = request.threads;
    }
    s.training.run_folder = folder + "/" + s.name;
  }
  return steps;
}

void run(const StackRequest& request, StackStep& step) {
  Found found{step};
  const TrainOptions options = step.options, training = step.training;
  found.unpack(ChildTask([&] { return measured(options, request.steps); }).result());
  step = found.step;
  require_fit(step.plan);
  if (!request.accuracy) return;
  Found end;
  end.unpack(ChildTask([&] { return trained(training); }).result());
  require_fit(end.step.plan);
  step.accuracy = end.step.accuracy;
  step.training_peak_rss_bytes = end.step.peak_rss_bytes;
}

// Runs it; what goes wrong with one does not stop the others.
void try_to_run(const StackRequest& request, StackStep& step) {
  const auto note = [&](StackStep::Problem kind, const std::exception& e) {
    step.kind = kind;
    step.problem = e.what();
  };
  try {
    run(request, step);
  } catch (const DoesNotFit& e) {
    note(StackStep::Problem::does_not_fit, e);
  } catch (const UserError& e) {
    note(StackStep::Problem::bad_input, e);
  } catch (const std::exception& e) {
    note(StackStep::Problem::failed, e);
  }
}

}  // namespace

std::vector<StackStep> reproduce(const StackRequest& request,
                                 const std::function<void(const StackStep&)>& on_step) {
  require(!request.data.empty(), "a stack trains: it needs data, a folder or a name");
  require(request.steps >= 1, "steps is ", request.steps, ", needs at least 1");
  // All files are read first: a mistake in the last should not come after hours.
  std::vector<StackStep> steps = chosen(request);
  // And the data that is common to all. In a child: what it takes is none of theirs.
  ChildTask([&] {
    for (const char* part : {"train", "test"}) open_dataset(request.data, part, {});
    return std::string("both");
  }).result();
  for (StackStep& step : steps) {
    try_to_run(request, step);
    if (on_step) on_step(step);
  }
  return steps;
}

}  // namespace thimble
