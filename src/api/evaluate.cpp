#include <algorithm>
#include <chrono>
#include <utility>

#include "api/run_options.h"
#include "base/process_memory.h"
#include "runtime/run_data.h"
#include "runtime/run_folder.h"
#include "runtime/session.h"

namespace thimble {
namespace {

// The counts are made before the plan, so that its measured bytes have them.
void make_counts(EvalReport& report, const Setup& setup) {
  const int64_t classes = setup.options.model.classes;
  for (std::string& name : class_names(*setup.test_data, classes)) {
    report.classes.push_back({std::move(name)});
  }
  if (classes <= kMostConfused) report.confusion.resize(static_cast<size_t>(classes * classes));
}

void count(EvalReport& report, int32_t label, std::span<const float> logits) {
  // The first of equal maxima, as the loss counts correct answers.
  const auto is = static_cast<size_t>(label);
  const auto answer =
      static_cast<size_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
  ++report.classes[is].examples;
  ++report.classes[answer].answers;
  report.classes[is].correct += is == answer;
  if (!report.confusion.empty()) ++report.confusion[is * logits.size() + answer];
}

}  // namespace

EvalReport evaluate(const TrainOptions& options) {
  const RunFolder folder(options.run_folder);
  const std::string weights_file = folder.weights_file();
  TrainOptions run = options_of_run(folder, options);
  if (!options.data.path.empty()) run.data.path = options.data.path;
  Setup setup = prepare(run, false);
  require(options.data.path.empty() || setup.test_data->classes() == run.model.classes,
          options.data.path, ": has ", setup.test_data->classes(), " classes, and the model tells ",
          run.model.classes, " apart; hint: give the data that has the run's classes");
  EvalReport report;
  make_counts(report, setup);
  const Plan plan = make_plan(std::move(setup.request), setup.machine);
  report.plan = report_of(plan);
  if (!plan.fits) return report;
  release_what_is_done();
  Session session(setup, plan);
  session.weights().load(weights_file, false);
  release_what_is_done();
  const auto begin = std::chrono::steady_clock::now();
  const Session::Evaluation e = *session.evaluate(
      Session::Part::test, {},
      [&](int64_t, int32_t label, std::span<const float> logits) { count(report, label, logits); });
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
