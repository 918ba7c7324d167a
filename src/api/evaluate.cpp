#include <chrono>
#include <utility>

#include "base/process_memory.h"
#include "runtime/run_folder.h"
#include "runtime/session.h"

namespace thimble {

EvalReport evaluate(const TrainOptions& options) {
  const RunFolder folder(options.run_folder);
  const std::string weights_file = folder.weights_file();
  TrainOptions run = folder.read_options();
  if (!options.data.path.empty()) run.data.path = options.data.path;
  run.data.skip_bad = run.data.skip_bad || options.data.skip_bad;
  run.budget_bytes = options.budget_bytes;
  if (options.threads > 0) run.threads = options.threads;
  run.backend = options.backend;
  if (options.data.decode_bytes != DataChoice{}.decode_bytes) {
    run.data.decode_bytes = options.data.decode_bytes;
  }
  Setup setup = prepare(run, false);
  require(options.data.path.empty() || setup.test_data->classes() == run.model.classes,
          options.data.path, ": has ", setup.test_data->classes(), " classes, and the model tells ",
          run.model.classes, " apart; hint: give the data that has the run's classes");
  const Plan plan = make_plan(std::move(setup.request), setup.machine);
  EvalReport report;
  report.plan = report_of(plan);
  if (!plan.fits) return report;
  release_what_is_done();
  Session session(setup, plan);
  session.weights().load(weights_file, false);
  release_what_is_done();
  const auto begin = std::chrono::steady_clock::now();
  const Session::Evaluation e = *session.evaluate();
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  report.evaluated = true;
  report.weights_file = weights_file;
  report.examples = e.examples;
  report.samples_per_second = static_cast<double>(e.examples) / seconds;
  report.loss = e.loss;
  report.accuracy = e.accuracy;
  report.skipped_examples = e.skipped;
  report.peak_rss_bytes = peak_resident_bytes();
  return report;
}

}  // namespace thimble
