#include "cli/commands.h"
#include "cli/flags.h"
#include "cli/streams.h"
#include "report/answers.h"
#include "report/text.h"

namespace thimble::cli {
namespace {

constexpr const char* kExamples =
    "Examples:\n"
    "  thimble predict --run runs/mobilenet_v2-flowers rose.jpg\n"
    "  thimble predict --run runs/mobilenet_v2-flowers photos/*.jpg --budget 24MiB --json\n\n";

ExitCode run_predict(const Request& request) {
  const PredictReport report = predict(request.options, request.pictures, request.top);
  const PlanReport& plan = report.plan;
  const bool alone = report.pictures.size() == 1;
  if (report.predicted && alone) {
    const std::string& error = report.pictures[0].error;
    require(error.empty(), error);
  }
  if (request.json) print(to_json(report));
  if (!report.predicted) {
    note("thimble: " + refusal_text(plan, "prediction", {}));
    return kDoesNotFit;
  }
  if (!request.json) print(prediction_text(report));
  bool broken = false;
  for (const Prediction& picture : report.pictures) {
    if (picture.error.empty()) continue;
    note("thimble: error: " + picture.error + "\n");
    broken = true;
  }
  if (broken) return kBadInput;
  const bool exceeded = plan.budget_bytes > 0 && report.peak_rss_bytes > plan.budget_bytes;
  return exceeded ? kBudgetExceeded : kDone;
}

}  // namespace

void add_predict_command(CLI::App& app, Request& request) {
  CLI::App& command =
      *app.add_subcommand("predict", "What a trained model takes pictures for; needs no data");
  TrainOptions& options = request.options;
  command.add_option("PICTURE", request.pictures, "JPEG or PNG files")->type_name("");
  const Group group = {command, "Model and data"};
  add_text(group, "--run", "FOLDER", options.run_folder,
           "What `thimble train` has left, or is still at: then its last checkpoint");
  add_integer(group, "--top", request.top, 1, 1'000'000, "Most probable classes to name");
  add_decode_flag(command, options.data);
  add_machine_flags(command, options);
  add_output_flags(command, request);
  command.footer(std::string(kExamples) + kExitCodes);
  command.callback([&request] {
    require(!request.options.run_folder.empty(),
            "predict needs --run: the folder of a trained model");
    require(!request.pictures.empty(), "predict needs pictures: JPEG or PNG files");
    request.run = run_predict;
  });
}

}  // namespace thimble::cli
