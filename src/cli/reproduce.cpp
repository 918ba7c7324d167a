#include <algorithm>

#include "cli/commands.h"
#include "cli/flags.h"
#include "cli/output_file.h"
#include "cli/streams.h"
#include "report/html.h"
#include "report/stack.h"
#include "report/study.h"

namespace thimble::cli {
namespace {

constexpr const char* kAbout =
    "Run a stack of configurations, each smaller than the one before, and measure them all";
constexpr const char* kExamples =
    "Each configuration is planned and trained for a few steps in a process of its own,\n"
    "whose peak memory and time are measured; with --accuracy each is trained to its end\n"
    "as well, at the size that the stack gives for that, which takes hours. Interrupted,\n"
    "such a run ends at once, and goes on from its last checkpoint file when the same\n"
    "command is given again. The only stack the program knows is wearable-stack:\n"
    "ResNet-50; dynamic sparse training; gradient checkpointing; microbatching; MobileNet;\n"
    "patches. --copy-to writes its files to a folder, where they can be changed; name the\n"
    "folder to run them.\n"
    "`reproduce reversible` measures the tables and figures of arXiv 1910.11127: bytes per\n"
    "pixel, errors by layer, slope and depth, and with --data times; --accuracy as above.\n\n"
    "Examples:\n"
    "  thimble reproduce wearable-stack --data blood_cells --html stack.html\n"
    "  thimble reproduce wearable-stack --data blood_cells --only C4,C6 --accuracy\n"
    "  thimble reproduce wearable-stack --copy-to my-stack\n"
    "  thimble reproduce my-stack --data photos --quick\n"
    "  thimble reproduce reversible --html reversible.html\n\n";

constexpr const char* kReversible = "reversible";
constexpr int64_t kStudySteps = 12;  // the usual: medians of three say little

ExitCode run_study(const Request& request) {
  // A place where nothing can be written is known before hours of work; the page is made anew with
  // each table, since what was measured is worth having.
  OutputFile{"--html", request.html};
  std::vector<StudyTable> so_far;
  const auto tables = reproduce_reversible(request.stack, [&](const StudyTable& t) {
    so_far.push_back(t);
    OutputFile html("--html", request.html);
    if (html.wanted()) html.write(study_html(so_far, kReversible));
    if (request.json) {
      note(t.title + "\n");
    } else {
      print(study_text(t));
    }
  });
  if (request.json) print(study_json(tables));
  return kDone;
}

ExitCode run_reproduce(const Request& request) {
  const StackRequest& stack = request.stack;
  if (stack.stack == kReversible) return run_study(request);
  if (!request.copy_to.empty()) {
    copy_stack(stack.stack, request.copy_to);
    note(str_cat("thimble: ", request.copy_to, " has the files of ", stack.stack, '\n'));
    return kDone;
  }
  OutputFile html("--html", request.html);
  const auto steps = reproduce(stack, [](const StackStep& s) { note(stack_line(s)); });
  if (html.wanted()) html.write(stack_html(steps, stack.stack));
  print(request.json ? stack_json(steps) : stack_text(steps, {locale_is_utf8()}));
  const auto any = [&](auto holds) { return std::any_of(steps.begin(), steps.end(), holds); };
  const auto has = [&](StackStep::Problem kind) {
    return any([&](const StackStep& s) { return s.kind == kind; });
  };
  if (has(StackStep::Problem::failed)) return kFailed;
  if (has(StackStep::Problem::bad_input)) return kBadInput;
  if (has(StackStep::Problem::does_not_fit)) return kDoesNotFit;
  const auto exceeds = [](const StackStep& s) {
    const int64_t budget = s.plan.budget_bytes, training = s.training.budget_bytes;
    return (budget > 0 && s.peak_rss_bytes > budget) ||
           (training > 0 && s.training_peak_rss_bytes > training);
  };
  return any(exceeds) ? kBudgetExceeded : kDone;
}

}  // namespace

void add_reproduce_command(CLI::App& app, Request& request) {
  CLI::App& command = *app.add_subcommand("reproduce", kAbout);
  StackRequest& stack = request.stack;
  command
      .add_option("STACK", stack.stack, "wearable-stack, reversible, or a folder with a stack.json")
      ->default_str(stack.stack);
  add_stack_flags(command, stack);
  const Group output = {command, "Output"};
  add_text(output, "--copy-to", "FOLDER", request.copy_to,
           "Write the stack's files to a new folder, and run nothing");
  add_text(output, "--html", "FILE", request.html, "Bars of bytes as a page for a browser");
  add_output_flags(command, request);
  command.footer(std::string(kExamples) + kExitCodes);
  command.callback([&command, &request] {
    const bool study = request.stack.stack == kReversible;
    if (study && command.get_option("--steps")->count() == 0) request.stack.steps = kStudySteps;
    require(!study || request.copy_to.empty(), "reversible has no files to copy");
    require(!study || request.stack.only.empty(),
            "reversible has no configurations: leave --only out");
    require(study || !request.stack.data.empty() || !request.copy_to.empty(),
            "reproduce needs --data: a folder with train/ and test/; such as --data blood_cells");
    request.run = run_reproduce;
  });
}

}  // namespace thimble::cli
