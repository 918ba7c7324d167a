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
    "  thimble plan --model resnet50 --batch 8 --budget 1GiB\n"
    "  thimble plan --model mobilenet_v2 --input 96 --classes 5 --optimizer adam\n"
    "  thimble plan --model lenet --verbose\n"
    "  thimble plan --model mobilenet_v1 --budget 200MiB --device watch.json\n"
    "  thimble plan --model resnet50 --batch 8 --budget 400MiB --html plan.html\n"
    "  thimble plan --model resnet50 --batch 8 --budget 300MiB --offload .\n"
    "  thimble plan --model resnet50 --batch 32 --budget 1GiB --json\n\n";

ExitCode run_plan(const Request& request) {
  calibrate(request.options);
  OutputFile html("--html", request.html);
  if (request.verbose) print(describe_plan(request.options) + "\n");
  PlanReport report;
  if (html.wanted()) {
    const PlanTimeline timeline = plan_timeline(request.options);
    html.write(timeline_html(timeline));
    report = timeline.plan;
  } else {
    report = plan(request.options);
  }
  print(request.json ? to_json(report) : plan_text(report, request.options, {locale_is_utf8()}));
  return report.fits ? kDone : kDoesNotFit;
}

}  // namespace

void add_plan_command(CLI::App& app, Request& request) {
  CLI::App& command = *app.add_subcommand(
      "plan", "Say what training would take, and whether it fits; trains nothing, needs no data");
  add_train_flags(command, request);
  add_text({command, "Machine"}, "--device", "FILE", request.options.device_file,
           "Plan for the speed of another machine: a JSON file such as "
           "{\"gflops\": 20, \"gb_per_s\": 4, \"storage_mb_per_s\": 80}",
           "this one");
  add_switch({command, "Output"}, "--verbose", request.verbose,
             "Every step, with layouts and places in memory");
  add_text({command, "Output"}, "--html", "FILE", request.html,
           "The arena's timeline as a page for a browser, in one file");
  command.footer(std::string(kExamples) + kExitCodes);
  command.callback([&command, &request] {
    settle_train_flags(command, request.options);
    require(!request.verbose || !request.json, "--verbose is for people: leave out --json");
    request.run = run_plan;
  });
}

}  // namespace thimble::cli
