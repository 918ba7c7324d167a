#include "report/frontier.h"

#include "base/bytes.h"
#include "cli/commands.h"
#include "cli/flags.h"
#include "cli/output_file.h"
#include "cli/streams.h"
#include "report/html.h"

namespace thimble::cli {
namespace {

constexpr const char* kAbout =
    "What time buys: every useful way to train the model, fastest and largest first";
constexpr const char* kExamples =
    "Each row is a way to train that no other beats in both memory and time: the budget\n"
    "it needs (process), what its step takes beside the fastest, and what it does to the\n"
    "result (promise). `thimble plan --budget N` is at least as fast as the first\n"
    "row that fits in N: it also knows what lies between the rows.\n"
    "What may change the result is left out unless --allow names it.\n\n"
    "Examples:\n"
    "  thimble frontier --model resnet50 --batch 8\n"
    "  thimble frontier --model resnet50 --batch 64 --norm group --html curve.html\n"
    "  thimble frontier --model mobilenet_v1 --batch 8 --budget 150MiB\n"
    "  thimble frontier --model resnet50 --batch 64 --allow ghost-batch-norm \\\n"
    "    --points experiments/frontier/pytorch-resnet50-64.json --html curve.html\n\n";

ExitCode run_frontier(const Request& request) {
  OutputFile html("--html", request.html);
  MeasuredPoints measured;
  if (!request.points.empty()) measured = read_points(request.points);
  const std::vector<FrontierPoint> points = frontier(request.options);
  if (html.wanted()) html.write(frontier_html(points, request.options, measured));
  print(request.json ? frontier_json(points, measured)
                     : frontier_text(points, request.options, measured, {locale_is_utf8()}));
  const int64_t budget = request.options.budget_bytes;
  const int64_t smallest = points.back().process_bytes;
  if (budget == 0 || smallest <= budget) return kDone;
  note(str_cat("thimble: none of these fits in ", format_bytes(budget), "; the smallest takes ",
               format_bytes(smallest)));
  return kDoesNotFit;
}

}  // namespace

void add_frontier_command(CLI::App& app, Request& request) {
  CLI::App& command = *app.add_subcommand("frontier", kAbout);
  add_train_flags(command, request);
  const Group output = {command, "Output"};
  add_text(output, "--html", "FILE", request.html,
           "The curve as a page for a browser, in one file");
  add_text(
      output, "--points", "FILE", request.points,
      "Measured points to show beside it: [{\"name\": ..., \"bytes\": ..., \"seconds\": ...}]");
  command.footer(std::string(kExamples) + kExitCodes);
  command.callback([&command, &request] {
    settle_train_flags(command, request.options);
    request.run = run_frontier;
  });
}

}  // namespace thimble::cli
