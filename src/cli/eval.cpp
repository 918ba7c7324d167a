#include "cli/commands.h"
#include "cli/flags.h"
#include "cli/output_file.h"
#include "cli/streams.h"
#include "report/html.h"
#include "report/json.h"
#include "report/text.h"

namespace thimble::cli {
namespace {

constexpr const char* kExamples =
    "Examples:\n"
    "  thimble eval --run runs/mobilenet_v1_patch-fashion-mnist\n"
    "  thimble eval --run runs/lenet-digits --data other/digits --budget 48MiB --json\n"
    "  thimble eval --run runs/lenet-digits --html confusion.html\n\n";

ExitCode run_eval(const Request& request) {
  OutputFile html("--html", request.html);
  const EvalReport report = evaluate(request.options);
  const PlanReport& plan = report.plan;
  if (request.json) print(to_json(report));
  if (!report.evaluated) {
    note("thimble: " + refusal_text(plan, "evaluation", {}));
    return kDoesNotFit;
  }
  if (html.wanted()) html.write(confusion_html(report));
  if (!request.json) print(result_text(report));
  const bool exceeded = plan.budget_bytes > 0 && report.peak_rss_bytes > plan.budget_bytes;
  return exceeded ? kBudgetExceeded : kDone;
}

}  // namespace

void add_eval_command(CLI::App& app, Request& request) {
  CLI::App& command = *app.add_subcommand(
      "eval", "Loss and accuracy of a trained model on the test split, by class");
  TrainOptions& options = request.options;
  const Group group = {command, "Model and data"};
  add_text(group, "--run", "FOLDER", options.run_folder,
           "What `thimble train` has left, or is still at: then its last checkpoint");
  add_text(group, "--data", "NAME|FOLDER", options.data.path, "Other examples", "the run's");
  add_switch(group, "--skip-bad", options.data.skip_bad,
             "Go on when a file is broken, and count it");
  add_decode_flag(command, options.data);
  add_machine_flags(command, options);
  add_output_flags(command, request);
  add_text({command, "Output"}, "--html", "FILE", request.html,
           "Accuracy by class and which is taken for which, as a page for a browser, in one file");
  command.footer(std::string(kExamples) + kExitCodes);
  command.callback([&request] {
    require(!request.options.run_folder.empty(), "eval needs --run: the folder of a trained model");
    request.run = run_eval;
  });
}

}  // namespace thimble::cli
