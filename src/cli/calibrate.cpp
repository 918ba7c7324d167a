#include "cli/commands.h"
#include "cli/flags.h"
#include "cli/streams.h"
#include "report/json.h"
#include "report/text.h"

namespace thimble::cli {
namespace {

constexpr const char* kExamples =
    "Plans predict a step's time from a few figures of this machine, measured on first use. This\n"
    "makes it better: a few steps of the model run, and what each kernel took is kept, as the "
    "mean\n"
    "with what it took before: once in the smallest budget and once without covers all between.\n"
    "Other models and batches are scaled as their ops were. The machine should have nothing\n"
    "else to do.\n\n"
    "Examples:\n"
    "  thimble calibrate --model resnet50 --batch 8\n"
    "  thimble calibrate --model mobilenet_v1 --batch 8 --budget 150MiB\n\n";

ExitCode run_calibrate(const Request& request) {
  const CalibrationReport report = calibrate_kernels(request.options);
  print(request.json ? to_json(report) : calibration_text(report));
  return kDone;
}

}  // namespace

void add_calibrate_command(CLI::App& app, Request& request) {
  CLI::App& command = *app.add_subcommand(
      "calibrate", "Measure what this machine takes for a model's kernels, for better plans");
  add_train_flags(command, request);
  command.footer(std::string(kExamples) + kExitCodes);
  command.callback([&command, &request] {
    settle_train_flags(command, request.options);
    request.run = run_calibrate;
  });
}

}  // namespace thimble::cli
