#include "cli/commands.h"
#include "cli/flags.h"
#include "cli/streams.h"
#include "cli/values.h"
#include "report/json.h"
#include "report/text.h"

namespace thimble::cli {
namespace {

constexpr const char* kExamples =
    "Examples:\n"
    "  thimble list models\n"
    "  thimble list ops --json\n\n";

struct Listed {
  const char* name;
  Listing (*list)();
};
constexpr std::array<Listed, 7> kListed = {{{"models", list_models},
                                            {"data", list_data},
                                            {"ops", list_ops},
                                            {"optimizers", list_optimizers},
                                            {"approximations", list_approximations},
                                            {"techniques", list_techniques},
                                            {"backends", list_backends}}};

std::vector<std::string> names() {
  std::vector<std::string> all;
  for (const Listed& listed : kListed) all.emplace_back(listed.name);
  return all;
}

ExitCode run_list(const Request& request) {
  for (const Listed& listed : kListed) {
    if (request.what != listed.name) continue;
    const Listing listing = listed.list();
    print(request.json ? to_json(listing, request.what) : listing_text(listing));
  }
  return kDone;
}

}  // namespace

void add_list_command(CLI::App& app, Request& request) {
  CLI::App& command = *app.add_subcommand("list", "Names that the other commands know");
  command
      .add_option("WHAT", request.what,
                  "models, data, ops, optimizers, approximations, techniques or backends")
      ->type_name("");
  add_output_flags(command, request);
  command.footer(std::string(kExamples) + kExitCodes);
  command.callback([&request] {
    request.what = parse_choice("what to list", request.what, names());
    request.run = run_list;
  });
}

}  // namespace thimble::cli
