#include "cli/commands.h"
#include "cli/flags.h"
#include "cli/streams.h"
#include "report/json.h"
#include "report/text.h"

namespace thimble::cli {
namespace {

constexpr const char* kExamples =
    "Examples:\n"
    "  thimble profile --model mobilenet_v1 --batch 8\n"
    "  thimble profile --model resnet50 --input 64 --norm group --json\n"
    "  thimble profile --model irevnet --batch 8 --budget 1MiB   # of the smallest plan\n\n";

ExitCode run_profile(const Request& request) {
  const Profile found = profile(request.options);
  print(request.json ? to_json(found) : profile_text(found));
  return kDone;
}

}  // namespace

void add_profile_command(CLI::App& app, Request& request) {
  CLI::App& command = *app.add_subcommand(
      "profile", "What each layer costs: parameters, FLOPs, bytes; arena bytes per input pixel");
  add_train_flags(command, request);
  command.footer(std::string(kExamples) + kExitCodes);
  command.callback([&command, &request] {
    settle_train_flags(command, request.options);
    request.run = run_profile;
  });
}

}  // namespace thimble::cli
