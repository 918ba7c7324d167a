#include <CLI/CLI.hpp>

#include "cli/commands.h"
#include "cli/help.h"
#include "cli/streams.h"
#include "cli/values.h"

#ifndef THIMBLE_VERSION
#define THIMBLE_VERSION "0.1.0"
#endif

namespace thimble::cli {
namespace {

constexpr const char* kAbout =
    "thimble trains a neural network inside the memory you have.\n"
    "Name a model, a data set and a number of bytes: it trains within them, or says\n"
    "before it starts that it cannot, and how many bytes it would need.\n";
constexpr const char* kExamples =
    "Examples:\n"
    "  thimble plan --model mobilenet_v1_patch --batch 16 --budget 96MiB\n"
    "  thimble train --model mobilenet_v1_patch --data fashion-mnist --budget 96MiB\n"
    "  thimble eval --run runs/mobilenet_v1_patch-fashion-mnist\n"
    "Each command has its own help: thimble train --help\n\n";

std::vector<std::string> names_of_flags(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

std::vector<std::string> names_of_commands(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands({})) names.push_back(command->get_name());
  return names;
}

// The first argument that nothing took.
[[noreturn]] void refuse_extra(const CLI::App& app) {
  const auto commands = app.get_subcommands();
  const bool before_command = !app.remaining().empty();
  const CLI::App& owner = before_command ? app : *commands.front();
  const std::string argument = owner.remaining().front();
  const std::string where = before_command ? "" : " of thimble " + owner.get_name();
  if (argument.rfind("-", 0) == 0) {
    const std::string flag = argument.substr(0, argument.find('='));
    throw UserError(str_cat("unknown flag '", flag, "'", where,
                            before_command ? "; flags follow the command" : "",
                            did_you_mean(flag, names_of_flags(owner))));
  }
  if (before_command) parse_choice("the command", argument, names_of_commands(app));
  throw UserError(str_cat("unexpected argument '", argument, "'", where));
}

// CLI11 says "--batch: 1 required N missing" and "--json was given a disallowed flag override".
std::string readable(const std::string& message) {
  const size_t colon = message.find(':');
  if (colon != std::string::npos) return message.substr(0, colon) + " needs a value";
  return "--" + message.substr(0, message.find(' ')) + " takes no value";
}

ExitCode run_print(const Request& request) {
  print(request.text);
  return kDone;
}

// The file of --config: its options are what the flags begin with.
std::string config_of(const std::vector<std::string>& arguments) {
  std::string last;
  for (size_t i = 1; i < arguments.size(); ++i) {
    if (arguments[i].starts_with("--config=")) last = arguments[i].substr(9);
    if (arguments[i] == "--config" && i + 1 < arguments.size()) last = arguments[i + 1];
  }
  return last;
}

}  // namespace

Request parse_arguments(int argc, const char* const* argv) {
  Request request;
  request.arguments.assign(argv, argv + argc);
  if (const std::string config = config_of(request.arguments); !config.empty()) {
    request.options = read_options(config);
  }
  CLI::App app(kAbout, "thimble");
  app.formatter(std::make_shared<HelpFormatter>());
  app.set_help_flag("-h,--help", "Show this help");
  app.set_version_flag("--version", "thimble " THIMBLE_VERSION, "Show the version");
  app.require_subcommand(0, 1);
  add_train_command(app, request);
  add_plan_command(app, request);
  add_calibrate_command(app, request);
  add_frontier_command(app, request);
  add_profile_command(app, request);
  add_reversibility_command(app, request);
  add_reproduce_command(app, request);
  add_eval_command(app, request);
  add_prune_command(app, request);
  add_import_command(app, request);
  add_export_command(app, request);
  add_predict_command(app, request);
  add_list_command(app, request);
  for (CLI::App* command : app.get_subcommands({})) command->group("Commands");
  app.footer(std::string(kExamples) + kExitCodes);
  try {
    app.parse(argc, argv);
    require(request.run != nullptr, "no command; needs one of ",
            CLI::detail::join(names_of_commands(app), ", "), "; see thimble --help");
  } catch (const CLI::CallForHelp&) {
    request.text = app.help();
    request.run = run_print;
  } catch (const CLI::CallForVersion& version) {
    request.text = std::string(version.what()) + "\n";
    request.run = run_print;
  } catch (const CLI::ExtrasError&) {
    refuse_extra(app);
  } catch (const CLI::ArgumentMismatch& error) {
    throw UserError(readable(error.what()));
  } catch (const CLI::ParseError& error) {
    throw UserError(error.what());
  }
  return request;
}

}  // namespace thimble::cli
