#include <chrono>

#include "base/child_task.h"
#include "base/names.h"
#include "base/process_memory.h"
#include "cli/commands.h"
#include "cli/flags.h"
#include "cli/interrupt.h"
#include "cli/streams.h"
#include "report/json.h"
#include "report/progress.h"
#include "report/reversibility.h"
#include "report/text.h"

namespace thimble::cli {
namespace {

constexpr const char* kExamples =
    "Examples:\n"
    "  thimble train --model mobilenet_v1_patch --data fashion-mnist --budget 96MiB\n"
    "  thimble train --model resnet18_cifar --data cifar-10-batches-bin --batch 128 \\\n"
    "      --epochs 30 --lr 0.1 --weight-decay 5e-4 --flip --crop 4\n"
    "  thimble train --model mobilenet_v1_patch --data fashion-mnist --epochs 4 --resume\n\n";

// A file's name without folder and ending.
std::string name_of_model(const std::string& name) {
  const std::string file = last_part(name);
  const bool is_file = file.ends_with(".onnx") || file.ends_with(".thimble");
  return is_file ? file.substr(0, file.rfind('.')) : name;
}

// "runs/lenet-fashion-mnist": the data set's name, or the last part of its path.
std::string usual_run_folder(const TrainOptions& options) {
  return "runs/" + name_of_model(options.model.name) + "-" + last_part(options.data.path);
}

// Shows progress on standard error, and never leaves half a line there.
class ProgressDisplay {
 public:
  ~ProgressDisplay() { note(text_.finish()); }

  void show(const Progress& progress) {
    const std::chrono::duration<double> now = std::chrono::steady_clock::now() - start_;
    if (!text_.due(progress, now.count())) return;
    // The code that writes a line is not resident beside the code of the kernels.
    release_code_pages();
    note(text_.next(progress, now.count()));
    release_code_pages();
  }

 private:
  ProgressText text_{{terminal_rewrites_lines(), locale_is_utf8(), terminal_columns()}};
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

// What will be written beside the model, before that begins.
std::string file_of_features(const PlanReport& plan) {
  for (const std::string& technique : plan.techniques) {
    if (technique.starts_with("cached_features: ")) return technique + "\n";
  }
  return "";
}

TrainReport train_with_progress(const TrainOptions& options, const Interrupt& interrupt) {
  ProgressDisplay display;
  return train(
      options, [&](const Progress& progress) { display.show(progress); },
      [&] { return interrupt.signal() != 0; },
      [](const PlanReport& plan, const TrainOptions& used) {
        note(noise_warning(plan, used));
        note(file_of_features(plan));
      });
}

// As a shell reads it back.
std::string quoted(const std::string& argument) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./=:,@%+";
  if (!argument.empty() && argument.find_first_not_of(kPlain) == argument.npos) return argument;
  std::string text = "'";
  for (const char c : argument) text += c == '\'' ? "'\\''" : std::string(1, c);
  return text + "'";
}

// The same command with --resume; the first weights are in the checkpoint file by now.
std::string line_to_continue(const std::vector<std::string>& arguments) {
  std::string line;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (argument == "--resume" || argument.starts_with("--init=")) continue;
    if (argument == "--init") {
      ++i;
      continue;
    }
    line += quoted(argument) + " ";
  }
  return line + "--resume";
}

ExitCode run_train(const Request& request) {
  TrainOptions options = request.options;
  calibrate(options);
  if (options.run_folder.empty()) {
    options.run_folder = usual_run_folder(options);
    note("run folder: " + options.run_folder + "\n");
  }
  const Interrupt interrupt;
  TrainReport report;
  try {
    report = train_with_progress(options, interrupt);
  } catch (const ChildKilled&) {
    // Ctrl-C goes to all processes of the terminal: to the planner's search as well.
    if (interrupt.signal() == 0) throw;
    note("thimble: interrupted while planning; nothing was run\n");
    return static_cast<ExitCode>(kSignalled + interrupt.signal());
  }
  const PlanReport& plan = report.plan;
  if (request.json) print(to_json(report));
  if (report.interrupted) {
    note("thimble: interrupted; continue with: " + line_to_continue(request.arguments) + "\n");
    return static_cast<ExitCode>(kSignalled + interrupt.signal());
  }
  if (!report.trained) {
    note("thimble: " + refusal_text(plan, "training", ways_to_lower(plan, options)));
    return kDoesNotFit;
  }
  if (!request.json) print(result_text(report));
  const bool exceeded = plan.budget_bytes > 0 && report.peak_rss_bytes > plan.budget_bytes;
  return exceeded ? kBudgetExceeded : kDone;
}

}  // namespace

void add_train_command(CLI::App& app, Request& request) {
  CLI::App& command = *app.add_subcommand(
      "train", "Plan, and train when the plan fits the budget; leaves the model in a run folder");
  add_train_flags(command, request);
  command.footer(std::string(kExamples) + kExitCodes);
  command.callback([&command, &request] {
    settle_train_flags(command, request.options);
    require(!request.options.data.path.empty(), "train needs --data: a name of `thimble list ",
            "data`, or a folder; such as --data fashion-mnist");
    request.run = run_train;
  });
}

}  // namespace thimble::cli
